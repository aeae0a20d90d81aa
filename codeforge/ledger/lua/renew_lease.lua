-- ARGV: worker, lease in ms, description (JSON). Answers the ids of its tasks that were cancelled.
local worker = ARGV[1]
redis.call('ZADD', 'cf:lease', now_ms() + tonumber(ARGV[2]), worker)
redis.call('HSET', 'cf:workers', worker, ARGV[3])
return redis.call('SPOP', 'cf:cancel:' .. worker, 500)
