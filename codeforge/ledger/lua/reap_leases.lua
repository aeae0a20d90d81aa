-- Takes back the tasks of workers whose lease is over, at most `limit`.
-- ARGV: limit, partitions. Answers {taken back, dead}.
local limit, partitions = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = now_ms()
local taken, dead, left = 0, 0, limit

-- Only a crash alone counts as an attempt. A suspect ran in a child of the worker, which did not die of it: what its
-- child dies of, the worker itself tells.
local function take_back(id, alone)
  local key = task_key(id)
  local row = redis.call('HMGET', key, 'type', 'tenant', 'attempts', 'max_attempts', 'cancel', 'crashes')
  count('attempts:' .. row[1] .. ':worker_lost')
  if row[5] == '1' then
    set_error(id, 'cancelled', 'cancelled by the client', '0')
    terminate(id, 'cancelled', now, partitions)
    return
  end
  local crashes = tonumber(row[6] or 0)
  if crashes >= SUSPECT then
    redis.call('HINCRBY', key, 'attempts', -1)
    alone = false
  elseif alone then
    note_reason(id, row[3], 'worker_lost', 'the worker stopped answering while it ran this task alone', now)
  else
    crashes = crash_in_company(id)
  end
  if alone and tonumber(row[3]) >= tonumber(row[4]) then
    set_error(id, 'worker_lost', 'the worker stopped answering while it ran the last attempt', '1')
    terminate(id, 'dead', now, partitions)
    dead = dead + 1
    return
  end
  redis.call('HSET', key, 'worker', '')
  enqueue(id, now)
  tell_of_crash(id, row[3], crashes)
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
    -- One that ended in order is no more among the workers.
    if redis.call('HEXISTS', 'cf:workers', worker) == 1 then count('leases_expired') end
    redis.call('HDEL', 'cf:workers', worker)
    redis.call('DEL', 'cf:cancel:' .. worker, company)
  end
end
return {taken, dead}
