-- Asks for one request's place at a host. ARGV: host, visit, most at once (0: any number), ms between two starts (0:
-- none), burst, lease in ms. Answers 0: go on; n: ask again in n ms; -1: as many as may are there. A visit that is there
-- already has its lease renewed. Starts are spaced by the virtual scheduling of GCRA (ITU-T I.371, annex A).
local row = 'cf:host:' .. ARGV[1]
local inside, visit = row .. ':in', ARGV[2]
local most, every, burst, lease = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', inside, '-inf', now)
if not redis.call('ZSCORE', inside, visit) then
  local state = redis.call('HMGET', row, 'paused_until', 'due')
  local paused, due = tonumber(state[1] or 0), tonumber(state[2] or 0)
  if paused > now then return paused - now end
  if every > 0 and due - (burst - 1) * every > now then return math.ceil(due - (burst - 1) * every - now) end
  if most > 0 and redis.call('ZCARD', inside) >= most then return -1 end
  if every > 0 then
    redis.call('HSET', row, 'due', math.max(due, now) + every)
    redis.call('PEXPIRE', row, HOST_KEPT_MS)
  end
end
redis.call('ZADD', inside, now + lease, visit)
redis.call('PEXPIRE', inside, HOST_KEPT_MS)
return 0
