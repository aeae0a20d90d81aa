-- Takes or renews an owner's fair share of the outbox's partitions: as many as its place among the live projectors gives
-- it. What it holds beyond that it gives up, so nothing of its may be in work. ARGV: owner, ttl in ms, partitions.
-- Answers the numbers of the partitions that it holds.
local owner, ttl, partitions = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
redis.call('ZADD', 'cf:outbox:projectors', now + ttl, owner)
redis.call('ZREMRANGEBYSCORE', 'cf:outbox:projectors', '-inf', now)
local live = redis.call('ZRANGE', 'cf:outbox:projectors', 0, -1)
table.sort(live)
local share = math.floor(partitions / #live)
for place, name in ipairs(live) do
  if name == owner and place <= partitions % #live then share = share + 1 end
end

local held = {}
for number = 0, partitions - 1 do
  local key = 'cf:outbox:owner:' .. number
  if redis.call('GET', key) == owner then
    if #held < share then held[#held + 1] = number else redis.call('DEL', key) end
  end
end
for number = 0, partitions - 1 do
  local key = 'cf:outbox:owner:' .. number
  if #held < share and redis.call('EXISTS', key) == 0 then held[#held + 1] = number end
end
for _, number in ipairs(held) do redis.call('SET', 'cf:outbox:owner:' .. number, owner, 'PX', ttl) end
table.sort(held)
return held
