-- Ends tasks that run past their time and which their worker did not end itself.
-- ARGV: type, limit, grace in ms, partitions. Answers how many.
local zset = 'cf:running:' .. ARGV[1]
local now = now_ms()
local ended = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', zset, '-inf', now - tonumber(ARGV[3]), 'LIMIT', 0, ARGV[2])) do
  local row = redis.call('HMGET', task_key(id), 'worker', 'fence')
  local worker = row[1]
  if worker then
    set_error(id, 'timeout', 'the task ran longer than its timeout_s', '0')
    count('attempts:' .. ARGV[1] .. ':timeout')
    -- Its worker, if it still lives, stops the coroutine; whatever it writes is refused from here on.
    if worker ~= '' then tell(worker, id, row[2]) end
    terminate(id, 'failed', now, tonumber(ARGV[4]))
    ended = ended + 1
  else
    redis.call('ZREM', zset, id)  -- the row is gone, and must not keep the others from being seen
  end
end
return ended
