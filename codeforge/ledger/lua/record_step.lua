-- ARGV: id, fence, claim, step name, value. Answers 1, or 0 for a stale claim.
local id = ARGV[1]
if not owns(id, ARGV[2], ARGV[3]) then return 0 end
redis.call('HSETNX', 'cf:journal:' .. id, ARGV[4], ARGV[5])
return 1
