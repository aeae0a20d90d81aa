-- Renews what an owner holds of the outbox's partitions; gives up and takes nothing. ARGV: owner, ttl in ms, partitions.
local owner, ttl = ARGV[1], tonumber(ARGV[2])
redis.call('ZADD', 'cf:outbox:projectors', now_ms() + ttl, owner)
for number = 0, tonumber(ARGV[3]) - 1 do
  local key = 'cf:outbox:owner:' .. number
  if redis.call('GET', key) == owner then redis.call('PEXPIRE', key, ttl) end
end
return 1
