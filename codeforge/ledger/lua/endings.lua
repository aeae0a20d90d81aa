-- How tasks and attempts end.

-- Ends a task: state, place, counters, final event and outbox entry. Fields of the hash that say why are set before;
-- `more` (name, value...) are set with the others.
local function terminate(id, state, now, partitions, more)
  local key = task_key(id)
  local row = redis.call('HMGET', key, 'tenant', 'type', 'place', 'queued_at', 'started_at', 'wait_ms', 'run_ms',  -- PLACED
    'worker', 'attempts', 'input_tokens', 'output_tokens', 'usd', 'error_code', 'error_message', 'trace')
  local worker_type, worker, run_ms = row[2], row[8], row[7]
  local fields = shift(id, row, '')
  if fields[3] == 'run_ms' then run_ms = fields[4] end
  for _, part in ipairs(more or {}) do fields[#fields + 1] = part end
  disown(id, worker)
  redis.call('HSET', key, 'state', state, 'finished_at', now, 'not_before', '', 'worker', '', unpack(fields))
  if state == 'dead' then redis.call('ZADD', 'cf:dead:' .. worker_type, now, id) end
  count('finished:' .. worker_type .. ':' .. state)
  -- A task that has a worker runs; one that is cancelled while it waits has no duration.
  if worker and worker ~= '' then observe('duration', worker_type, now - tonumber(row[5]), row[15]) end
  local reason = 'null'
  if state ~= 'succeeded' and row[13] and row[13] ~= '' then
    reason = '{"code":' .. cjson.encode(row[13]) .. ',"message":' .. cjson.encode(row[14] or '') .. '}'
  end
  event(id, state, string.format(
    '{"state":"%s","attempts":%s,"usage":{"input_tokens":%s,"output_tokens":%s,"usd":%s},"wait_s":%s,"run_s":%s,' ..
    '"sandbox_peak_bytes":null,"error":%s}',
    state, row[9], row[10], row[11], row[12], (row[6] or 0) / 1000, (run_ms or 0) / 1000, reason))
  await_projection(id, partitions)
  release(row[1], now)
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
