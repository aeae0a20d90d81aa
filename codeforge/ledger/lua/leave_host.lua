-- Gives a place back. ARGV: host, visit, what the host said: -1 nothing, -2 that all is well, 0 or more that it has too
-- much to do, and for how many ms it wants a pause (0: it did not say), first own pause in ms, longest pause in ms.
-- A host that does not say gets a pause that doubles each time, until it answers well. Answers for how long it pauses.
local row = 'cf:host:' .. ARGV[1]
local asked, first, longest = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local now = now_ms()
redis.call('ZREM', row .. ':in', ARGV[2])
if asked == -2 then redis.call('HDEL', row, 'troubles') end
if asked < 0 then return 0 end
local paused = tonumber(redis.call('HGET', row, 'paused_until') or 0)
-- Those that were under way when the pause began tell nothing new.
if paused <= now then
  local troubles = redis.call('HINCRBY', row, 'troubles', 1)
  asked = math.max(asked, first * 2 ^ math.min(troubles - 1, 20))
end
local until_ms = math.max(paused, now + math.min(asked, longest))
redis.call('HSET', row, 'paused_until', string.format('%.0f', until_ms))
redis.call('PEXPIRE', row, HOST_KEPT_MS)
return until_ms - now
