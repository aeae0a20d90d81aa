-- Marks a task as one that must run alone: it kept its whole process from working. ARGV: id, fence, claim.
-- Answers 1, or 0 for a stale claim.
local id = ARGV[1]
if not owns(id, ARGV[2], ARGV[3]) then return 0 end
redis.call('HSET', task_key(id), 'crashes', ALONE)
return 1
