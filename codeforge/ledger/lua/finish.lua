-- ARGV: id, fence, claim, outcome, result, error code, error message, error retryable, retry delay in ms, partitions.
-- Answers the task's new state, or '' for a stale claim.
local id, outcome, partitions = ARGV[1], ARGV[4], tonumber(ARGV[10])
local key = task_key(id)
if not owns(id, ARGV[2], ARGV[3]) then
  -- The same call again, because its answer was lost, is answered as the first time.
  local row = redis.call('HMGET', key, 'state', 'fence', 'ended_by')
  if row[1] and row[2] == ARGV[2] and row[3] == ARGV[3] then return row[1] end
  return ''
end

local now = now_ms()
local row = redis.call('HMGET', key, 'type', 'attempts', 'max_attempts', 'cancel', 'worker', 'tenant')
if ARGV[6] ~= '' then
  set_error(id, ARGV[6], ARGV[7], ARGV[8])
  note_reason(id, row[2], ARGV[6], ARGV[7], now)
end

if outcome == 'retry' and row[4] == '1' then outcome = 'cancelled' end
if outcome == 'retry' and tonumber(row[2]) < tonumber(row[3]) then
  local due = now + tonumber(ARGV[9])
  disown(id, row[5])
  move(id, 'delayed', due)
  redis.call('HSET', key, 'state', 'queued', 'not_before', due, 'worker', '', 'ended_by', ARGV[3])
  count('attempts:' .. row[1] .. ':retry')
  event(id, 'retry', string.format('{"state":"queued","attempt":%s,"not_before":%.0f,"error":{"code":%s,"message":%s}}',
    row[2], due, cjson.encode(ARGV[6]), cjson.encode(ARGV[7])))
  release(row[6], now)
  return 'queued'
end

count('attempts:' .. row[1] .. ':' .. outcome)
if outcome == 'retry' then outcome = 'dead' end
local more = {'ended_by', ARGV[3]}
if outcome == 'succeeded' then
  more = {'ended_by', ARGV[3], 'result', ARGV[5], 'error_code', '', 'error_message', ''}
end
terminate(id, outcome, now, partitions, more)
return outcome
