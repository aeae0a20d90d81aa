-- Rings for queued tasks that Celery's queues lack. Only how many are lacking is known, so the oldest are rung; a ring
-- too many is harmless. ARGV: type, limit, grace in ms, longest pause in ms (the pause between
-- rings of one task doubles up to it), then (priority, queue, message template)... Answers how many were rung.
local worker_type, limit, grace, longest = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local zset = 'cf:queued:' .. worker_type
local bells, in_queues = {}, 0
for i = 5, #ARGV, 3 do
  bells[ARGV[i]] = {ARGV[i + 1], ARGV[i + 2]}
  in_queues = in_queues + redis.call('LLEN', ARGV[i + 1])
end
local lacking = math.min(redis.call('ZCARD', zset) - in_queues, limit)
if lacking <= 0 then return 0 end
local now = now_ms()
local rung = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', zset, '-inf', now - grace, 'LIMIT', 0, limit)) do
  if rung >= lacking then break end
  local row = redis.call('HMGET', task_key(id), 'priority', 'rung_at', 'rings')
  local pause = math.min(longest, grace * 2 ^ math.min(tonumber(row[3] or 0), 16))
  if not row[1] then
    redis.call('ZREM', zset, id)
  elseif now - tonumber(row[2] or 0) >= pause then
    ring_again(bells[row[1]][1], bells[row[1]][2], id, now)
    rung = rung + 1
  end
end
return rung
