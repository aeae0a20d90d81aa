-- A fenced mark right before a paid call is sent. ARGV: id, fence, claim, step name, type.
-- Answers 1 for the first time, 2 when an earlier attempt had begun the call too (its answer never reached the
-- journal, so it may be paid for again), 0 for a stale claim.
local id = ARGV[1]
if not owns(id, ARGV[2], ARGV[3]) then return 0 end
local before = redis.call('HGET', 'cf:begun:' .. id, ARGV[4])
redis.call('HSET', 'cf:begun:' .. id, ARGV[4], ARGV[2])
if before and before ~= ARGV[2] then
  count('calls_repeated:' .. ARGV[5])
  return 2
end
return 1
