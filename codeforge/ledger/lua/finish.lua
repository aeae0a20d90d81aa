-- ARGV: id, fence, claim, outcome, result, error code, error message, error retryable, retry delay in ms, partitions,
-- counters of a success and what is added to each ("name n name n").
-- Answers the task's new state, or '' for a stale claim.
local id, outcome, partitions = ARGV[1], ARGV[4], tonumber(ARGV[10])
local key = task_key(id)
local row = redis.call('HMGET', key, unpack(ENDING))
local tenant, worker_type, worker, attempts, fence, state = row[1], row[2], row[8], row[9], row[16], row[18]
if state ~= 'running' or fence ~= ARGV[2] or row[19] ~= ARGV[3] then
  -- The same call again, because its answer was lost, is answered as the first time.
  if state and fence == ARGV[2] and redis.call('HGET', key, 'ended_by') == ARGV[3] then return state end
  return ''
end

local now = now_ms()
if ARGV[6] ~= '' then
  set_error(id, ARGV[6], ARGV[7], ARGV[8])
  note_reason(id, attempts, ARGV[6], ARGV[7], now)
  row[13], row[14] = ARGV[6], ARGV[7]
end

if outcome == 'retry' and row[21] == '1' then outcome = 'cancelled' end
if outcome == 'retry' and tonumber(attempts) < tonumber(row[20]) then
  local due = now + tonumber(ARGV[9])
  disown(id, worker)
  move(id, 'delayed', due)
  redis.call('HSET', key, 'state', 'queued', 'not_before', due, 'worker', '', 'ended_by', ARGV[3])
  count('attempts:' .. worker_type .. ':retry')
  event(id, 'retry', string.format('{"state":"queued","attempt":%s,"not_before":%.0f,"error":{"code":%s,"message":%s}}',
    attempts, due, cjson.encode(ARGV[6]), cjson.encode(ARGV[7])))
  release(tenant, now)
  return 'queued'
end

count('attempts:' .. worker_type .. ':' .. outcome)
if outcome == 'retry' then outcome = 'dead' end
if outcome == 'succeeded' then
  for name, n in string.gmatch(ARGV[11], '(%S+) (%S+)') do redis.call('HINCRBYFLOAT', 'cf:stats', name, n) end
end
terminate(id, outcome, now, partitions, ARGV[3], outcome == 'succeeded' and ARGV[5] or nil, row)
return outcome
