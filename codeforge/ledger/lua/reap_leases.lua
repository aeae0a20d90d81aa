-- Takes back the tasks of workers whose lease is over, at most `limit`.
-- ARGV: limit, partitions. Answers {taken back, dead}.
local limit, partitions = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = now_ms()
local taken, dead, left = 0, 0, limit

-- A process that dies with many tasks aboard says nothing about any one of them: their attempts cost nothing. A task
-- that was aboard of COMPANY_CRASHES of them runs alone from then on, and only a crash alone counts.
local function take_back(id, alone)
  local key = task_key(id)
  local row = redis.call('HMGET', key, 'type', 'tenant', 'attempts', 'max_attempts', 'cancel')
  count('attempts:' .. row[1] .. ':worker_lost')
  if row[5] == '1' then
    set_error(id, 'cancelled', 'cancelled by the client', '0')
    terminate(id, 'cancelled', now, partitions)
    return
  end
  local crashes = 0
  if alone then
    note_reason(id, row[3], 'worker_lost', 'the worker stopped answering while it ran this task alone', now)
  else
    redis.call('HINCRBY', key, 'attempts', -1)
    crashes = redis.call('HINCRBY', key, 'crashes', 1)
    if crashes >= COMPANY_CRASHES then redis.call('HSET', key, 'solo', 1) end
  end
  if alone and tonumber(row[3]) >= tonumber(row[4]) then
    set_error(id, 'worker_lost', 'the worker stopped answering while it ran the last attempt', '1')
    terminate(id, 'dead', now, partitions)
    dead = dead + 1
    return
  end
  redis.call('HSET', key, 'worker', '')
  enqueue(id, now)
  event(id, 'worker_lost', string.format('{"state":"queued","attempt":%s,"crashes_in_company":%d}', row[3], crashes))
  release(row[2], now)
  taken = taken + 1
end

for _, worker in ipairs(redis.call('ZRANGEBYSCORE', 'cf:lease', '-inf', now, 'LIMIT', 0, 20)) do
  if left <= 0 then break end
  local company = 'cf:company:' .. worker
  if redis.call('SCARD', 'cf:owned:' .. worker) > 1 then redis.call('SET', company, 1) end
  local alone = redis.call('EXISTS', company) == 0
  local ids = redis.call('SPOP', 'cf:owned:' .. worker, left)
  left = left - #ids
  for _, id in ipairs(ids) do
    local row = redis.call('HMGET', task_key(id), 'state', 'worker')
    if row[1] == 'running' and row[2] == worker then take_back(id, alone) end
  end
  if redis.call('SCARD', 'cf:owned:' .. worker) == 0 then
    redis.call('ZREM', 'cf:lease', worker)
    redis.call('HDEL', 'cf:workers', worker)
    redis.call('DEL', 'cf:cancel:' .. worker, company)
  end
end
return {taken, dead}
