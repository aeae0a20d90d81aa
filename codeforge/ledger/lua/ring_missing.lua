-- Rings for queued tasks that Celery's queues lack. Only how many are lacking is known, so the oldest are rung; a ring
-- too many is harmless. ARGV: type, limit, grace in ms, longest pause in ms (the pause between rings of one task doubles
-- up to it), longest pause of a suspect, whose ring was heard where no place was free for it. Answers how many were rung. Held tasks are not in the set: nobody rings for them.
local worker_type, limit, grace, longest = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local longest_of_suspects = tonumber(ARGV[5])
local zset = 'cf:queued:' .. worker_type
local in_queues = 0
for priority in pairs(RANKS) do
  in_queues = in_queues + redis.call('LLEN', BELLS[worker_type .. ':' .. priority][1])
end
local lacking = math.min(redis.call('ZCARD', zset) - in_queues, limit)
if lacking <= 0 then return 0 end
local now = now_ms()
local rung = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', zset, '-inf', now - grace, 'LIMIT', 0, limit)) do
  if rung >= lacking then break end
  local row = redis.call('HMGET', task_key(id), 'priority', 'rung_at', 'rings', 'crashes')
  local most = tonumber(row[4] or 0) >= SUSPECT and longest_of_suspects or longest
  local pause = math.min(most, grace * 2 ^ math.min(tonumber(row[3] or 0), 16))
  if not row[1] then
    redis.call('ZREM', zset, id)
  elseif now - tonumber(row[2] or 0) >= pause then
    redis.call('HSET', task_key(id), ring_for(id, now, worker_type, row[1], row[2]))
    rung = rung + 1
  end
end
return rung
