-- Moves due tasks of one type from delayed to queued. ARGV: type, limit. Answers how many.
local worker_type = ARGV[1]
local now = now_ms()
local ids = redis.call('ZRANGEBYSCORE', 'cf:delayed:' .. worker_type, '-inf', now, 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  redis.call('ZREM', 'cf:delayed:' .. worker_type, id)  -- its row may be gone
  if redis.call('EXISTS', task_key(id)) == 1 then enqueue(id, now) end
end
return #ids
