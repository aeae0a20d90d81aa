-- Rings for queued tasks that Celery's queues lack. Only how many are lacking is known, so the oldest are rung; a ring
-- too many is harmless. Those of high priority come first: an older backlog, rung for in their place, would hide them.
-- ARGV: type, limit, grace in ms, longest pause in ms (the pause between rings of one task doubles up to it), longest
-- pause of a suspect, whose ring was heard where no place was free for it. Answers how many were rung. Held tasks are not
-- in the set: nobody rings for them.
local worker_type, limit, grace, longest = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local longest_of_suspects = tonumber(ARGV[5])
local zset = 'cf:queued:' .. worker_type
local now = now_ms()

-- Answers 1, or 0 for a task whose pause is not over.
local function ring_again(id)
  local row = redis.call('HMGET', task_key(id), 'priority', 'rung_at', 'rings', 'crashes')
  local most = tonumber(row[4] or 0) >= SUSPECT and longest_of_suspects or longest
  local pause = math.min(most, grace * 2 ^ math.min(tonumber(row[3] or 0), 16))
  if not row[1] then
    redis.call('ZREM', zset, id)
  elseif now - tonumber(row[2] or 0) >= pause then
    redis.call('HSET', task_key(id), ring_for(id, now, worker_type, row[1], row[2]))
    return 1
  end
  return 0
end

local in_queues = {}
local lacking = redis.call('ZCARD', zset)
for priority in pairs(RANKS) do
  in_queues[priority] = redis.call('LLEN', BELLS[worker_type .. ':' .. priority][1])
  lacking = lacking - in_queues[priority]
end

local rung, urgent = 0, urgent_key(worker_type)
local ids = redis.call('ZRANGEBYSCORE', urgent, '-inf', now - grace, 'LIMIT', 0, math.ceil(limit / 2))
for _, id in ipairs(ids) do
  if not redis.call('ZSCORE', zset, id) then
    redis.call('ZREM', urgent, id)  -- it waits no more
  elseif in_queues.high == 0 then
    rung = rung + ring_again(id)
  end
end

lacking = math.min(lacking, limit)
if rung >= lacking then return rung end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', zset, '-inf', now - grace, 'LIMIT', 0, limit - #ids)) do
  if rung >= lacking then break end
  rung = rung + ring_again(id)
end
return rung
