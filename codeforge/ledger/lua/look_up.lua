-- ARGV: how many fields and their names, how many calls of a task at most, then task ids...
-- Answers for each id the values of its row's fields, in their order, and its calls.
local fields, most = {}, ARGV[ARGV[1] + 2]
for i = 1, ARGV[1] do fields[i] = ARGV[i + 1] end
local found = {}
for i = #fields + 3, #ARGV do
  found[#found + 1] = redis.call('HMGET', task_key(ARGV[i]), unpack(fields))
  found[#found + 1] = redis.call('LRANGE', 'cf:calls:' .. ARGV[i], 0, most - 1)
end
return found
