-- Looks a page up, or takes the right to fetch it. ARGV: page, holder, since in ms, age in ms, lease in ms.
-- Answers {'kept', value} for a page that was fetched since then, is younger than that age, or said itself that it is still
-- fresh; {'fetch', the older value or false} for the one who is to fetch it; {'wait'} for the others.
local key = 'cf:page:' .. ARGV[1]
local holder = key .. ':holder'
local now = now_ms()
local kept = redis.call('HMGET', key, 'at', 'fresh_until', 'value')
if kept[1] then
  local at = tonumber(kept[1])
  -- A task that waited for long wants no page of long ago.
  local since = math.max(tonumber(ARGV[3]), now - PAGE_SINCE_MS)
  if at >= since or now - at < tonumber(ARGV[4]) or tonumber(kept[2]) > now then return {'kept', kept[3]} end
end
local mine = redis.call('GET', holder)
if mine and mine ~= ARGV[2] then return {'wait'} end
redis.call('SET', holder, ARGV[2], 'PX', ARGV[5])
return {'fetch', kept[3]}
