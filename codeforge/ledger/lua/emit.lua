-- ARGV: id, fence, claim, kind, data, then the task's fields to set (name, value)... Answers 1, or 0 for a stale claim.
local id = ARGV[1]
if not owns(id, ARGV[2], ARGV[3]) then return 0 end
for i = 6, #ARGV, 2 do redis.call('HSET', task_key(id), ARGV[i], ARGV[i + 1]) end
event(id, ARGV[4], ARGV[5])
return 1
