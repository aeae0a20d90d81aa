-- ARGV: worker, lease in ms, description (JSON), then the attempts that it was told of and has heard.
-- Answers those of its attempts (id:fence) that were cancelled, again with every beat until they are heard: an answer can
-- be lost, and a task that was replayed meanwhile is another attempt, whose cancellation was not heard.
local worker = ARGV[1]
local cancelled = 'cf:cancel:' .. worker
redis.call('ZADD', 'cf:lease', now_ms() + tonumber(ARGV[2]), worker)
redis.call('HSET', 'cf:workers', worker, ARGV[3])
redis.call('DEL', 'cf:company:' .. worker)  -- of one whose tasks were being taken back, and who is alive after all
for i = 4, #ARGV do redis.call('SREM', cancelled, ARGV[i]) end
return redis.call('SRANDMEMBER', cancelled, 500)
