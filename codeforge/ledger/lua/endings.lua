-- How tasks and attempts end.

-- What `terminate` must know of a task's row, and what finish.lua decides by.
local ENDING = {'tenant', 'type', 'place', 'queued_at', 'started_at', 'wait_ms', 'run_ms',  -- PLACED
  'worker', 'attempts', 'input_tokens', 'output_tokens', 'usd', 'trace', 'fence', 'outbox_bytes', 'state', 'claim'}

-- An error as events have it, and `GET /tasks/{id}`.
local function error_text(code, message, retryable)
  return string.format('{"code":%s,"message":%s,"retryable":%s}', cjson.encode(code), cjson.encode(message or ''),
    retryable == '1' and 'true' or 'false')
end

local function reason_of(key)
  local error = redis.call('HMGET', key, 'error_code', 'error_message', 'error_retryable')
  if not error[1] or error[1] == '' then return 'null' end
  return error_text(error[1], error[2], error[3])
end

-- Ends a task: state, place, counters, final event and outbox entry. Fields of the hash that say why are set before.
-- `ended_by`, `result`, which means that it succeeded, and `row`, its ENDING, are given by those that have them.
local function terminate(id, state, now, partitions, ended_by, result, row)
  local key = task_key(id)
  row = row or redis.call('HMGET', key, unpack(ENDING))
  local worker_type, worker, run_ms, fence = row[2], row[8], row[7], row[14]
  local bytes = redis.call('HSTRLEN', key, 'input') + (result and #result or redis.call('HSTRLEN', key, 'result'))
  local fields = shift(id, row, '')
  if fields[3] == 'run_ms' then run_ms = fields[4] end
  local n = #fields
  if ended_by then
    fields[n + 1], fields[n + 2] = 'ended_by', ended_by
    n = n + 2
  end
  if result then
    fields[n + 1], fields[n + 2] = 'result', result
    if fence ~= '1' then  -- an earlier attempt's
      fields[n + 3], fields[n + 4], fields[n + 5], fields[n + 6] = 'error_code', '', 'error_message', ''
    end
  end
  disown(id, worker)
  if row[3] == 'delayed' then redis.call('HSET', key, 'not_before', '') end
  redis.call('HSET', key, 'state', state, 'finished_at', now, 'worker', '', 'outbox_bytes', bytes, unpack(fields))
  if state == 'dead' then redis.call('ZADD', 'cf:dead:' .. worker_type, now, id) end
  count('finished:' .. worker_type .. ':' .. state)
  -- A task that has a worker runs; one that is cancelled while it waits has no duration.
  if worker and worker ~= '' then observe('duration', worker_type, now - tonumber(row[5]), row[13]) end
  event(id, state, '{"state":"' .. state .. '","attempts":' .. row[9] .. ',"usage":{"input_tokens":' .. row[10] ..
    ',"output_tokens":' .. row[11] .. ',"usd":' .. row[12] .. '},"wait_s":' .. (row[6] or 0) / 1000 ..
    ',"run_s":' .. (run_ms or 0) / 1000 .. ',"sandbox_peak_bytes":null,"error":' ..
    (state == 'succeeded' and 'null' or reason_of(key)) .. '}')
  await_projection(id, partitions, fence, bytes, row[15])
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
