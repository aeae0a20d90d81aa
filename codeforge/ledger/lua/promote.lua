-- Moves due tasks of one type from delayed to queued. ARGV: type, limit, then (priority, queue, message template)...
-- Answers how many.
local worker_type = ARGV[1]
local bells = {}
for i = 3, #ARGV, 3 do bells[ARGV[i]] = {ARGV[i + 1], ARGV[i + 2]} end
local now = now_ms()
local ids = redis.call('ZRANGEBYSCORE', 'cf:delayed:' .. worker_type, '-inf', now, 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  redis.call('ZREM', 'cf:delayed:' .. worker_type, id)
  local priority = redis.call('HGET', task_key(id), 'priority')
  if priority then
    enqueue(id, worker_type, now)
    ring_again(bells[priority][1], bells[priority][2], id, now)
  end
end
return #ids
