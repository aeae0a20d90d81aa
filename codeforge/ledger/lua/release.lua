-- Gives up all of an owner's partitions, and its place among the projectors. ARGV: owner, partitions.
redis.call('ZREM', 'cf:outbox:projectors', ARGV[1])
for number = 0, tonumber(ARGV[2]) - 1 do
  local key = 'cf:outbox:owner:' .. number
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
return 1
