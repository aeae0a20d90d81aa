-- ARGV: id, fence, claim, outcome, partitions, result, counters of a success and what is added to each ("name n name n"),
-- and, where it failed or is to be tried again, error code or '', error message, error retryable, retry delay in ms.
-- Answers the task's new state, or '' for a stale claim.
local id, outcome, partitions, code, message = ARGV[1], ARGV[4], tonumber(ARGV[5]), ARGV[8], ARGV[9]
local key = task_key(id)
local row = redis.call('HMGET', key, unpack(ENDING))
local tenant, worker_type, worker, attempts, fence, state = row[1], row[2], row[8], row[9], row[14], row[16]
if state ~= 'running' or fence ~= ARGV[2] or row[17] ~= ARGV[3] then
  -- The same call again, because its answer was lost, is answered as the first time.
  if state and fence == ARGV[2] and redis.call('HGET', key, 'ended_by') == ARGV[3] then return state end
  return ''
end

local now = now_ms()
if code and code ~= '' then
  set_error(id, code, message, ARGV[10])
  note_reason(id, attempts, code, message, now)
end

if outcome == 'retry' then
  local limits = redis.call('HMGET', key, 'max_attempts', 'cancel')
  if limits[2] == '1' then
    outcome = 'cancelled'
  elseif tonumber(attempts) < tonumber(limits[1]) then
    local due = now + tonumber(ARGV[11])
    disown(id, worker)
    move(id, 'delayed', due)
    redis.call('HSET', key, 'state', 'queued', 'not_before', due, 'worker', '', 'ended_by', ARGV[3])
    count('attempts:' .. worker_type .. ':retry')
    event(id, 'retry', string.format('{"state":"queued","attempt":%s,"not_before":%.0f,"error":%s}',
      attempts, due, error_text(code, message, ARGV[10])))
    release(tenant, now)
    return 'queued'
  end
end

count('attempts:' .. worker_type .. ':' .. outcome)
if outcome == 'retry' then outcome = 'dead' end
if outcome == 'succeeded' then
  for name, n in string.gmatch(ARGV[7], '(%S+) (%S+)') do redis.call('HINCRBYFLOAT', 'cf:stats', name, n) end
end
terminate(id, outcome, now, partitions, ARGV[3], outcome == 'succeeded' and ARGV[6] or nil, row)
return outcome
