-- How tasks and attempts end.

-- Ends a task: state, place, counters, final event and outbox entry. Fields of the hash that say why are set before.
local function terminate(id, state, now, partitions)
  local key = task_key(id)
  move(id, '')
  local row = redis.call('HMGET', key, 'type', 'worker', 'started_at', 'attempts', 'tenant',
    'input_tokens', 'output_tokens', 'usd', 'error_code', 'error_message', 'wait_ms', 'run_ms', 'trace')
  local worker_type = row[1]
  disown(id, row[2])
  redis.call('HSET', key, 'state', state, 'finished_at', now, 'not_before', '', 'worker', '')
  if state == 'dead' then redis.call('ZADD', 'cf:dead:' .. worker_type, now, id) end
  count('finished:' .. worker_type .. ':' .. state)
  -- A task that has a worker runs; one that is cancelled while it waits has no duration.
  if row[2] and row[2] ~= '' then observe('duration', worker_type, now - tonumber(row[3]), row[13]) end
  local reason = 'null'
  if row[9] and row[9] ~= '' then
    reason = '{"code":' .. cjson.encode(row[9]) .. ',"message":' .. cjson.encode(row[10] or '') .. '}'
  end
  event(id, state, string.format(
    '{"state":"%s","attempts":%s,"usage":{"input_tokens":%s,"output_tokens":%s,"usd":%s},"wait_s":%s,"run_s":%s,' ..
    '"sandbox_peak_bytes":null,"error":%s}',
    state, row[4], row[6], row[7], row[8], (row[11] or 0) / 1000, (row[12] or 0) / 1000, reason))
  await_projection(id, partitions)
  release(row[5], now)
end

local function set_error(id, code, message, retryable)
  redis.call('HSET', task_key(id), 'error_code', code, 'error_message', message, 'error_retryable', retryable)
end

-- The process that ran the task broke with others aboard, which says nothing about any one of them: the attempt costs
-- nothing. Answers how often that has happened to the task by now.
local function crash_in_company(id)
  redis.call('HINCRBY', task_key(id), 'attempts', -1)
  return redis.call('HINCRBY', task_key(id), 'crashes', 1)
end

local function tell_of_crash(id, attempt, crashes)
  event(id, 'worker_lost', string.format('{"state":"queued","attempt":%s,"crashes_in_company":%d}', attempt, crashes))
end

-- Appends to the reasons of the attempts: JSON objects with commas between. An attempt that costs nothing has none.
local function note_reason(id, attempt, code, message, now)
  local reason = string.format('{"attempt":%s,"code":%s,"message":%s,"at":%.0f}',
    attempt, cjson.encode(code), cjson.encode(message), now)
  local before = redis.call('HGET', task_key(id), 'reasons')
  if before and before ~= '' then reason = before .. ',' .. reason end
  redis.call('HSET', task_key(id), 'reasons', reason)
end
