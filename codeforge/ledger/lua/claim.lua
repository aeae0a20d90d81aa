-- ARGV: id, worker, claim id, the numbers of crashes of suspects that the worker can run now, as one word.
-- Answers {'claimed', row (HGETALL), journal (HGETALL)}, {'nothing'} or {'no_lease'}.
local id, worker, claim = ARGV[1], ARGV[2], ARGV[3]
local now = now_ms()
local lease = redis.call('ZSCORE', 'cf:lease', worker)
if not lease or tonumber(lease) <= now then return {'no_lease'} end

local key = task_key(id)
local row = redis.call('HMGET', key, 'tenant', 'type', 'place', 'queued_at', 'started_at', 'wait_ms', 'run_ms',  -- PLACED
  'state', 'claim', 'timeout_s', 'attempts', 'fence', 'crashes', 'trace')
local worker_type, state = row[2], row[8]
if state == 'running' and row[9] == claim then
  return {'claimed', redis.call('HGETALL', key), redis.call('HGETALL', 'cf:journal:' .. id)}
end
local queued_at = worker_type and redis.call('ZSCORE', 'cf:queued:' .. worker_type, id)
if state ~= 'queued' or not queued_at then return {'nothing'} end
-- A suspect that would only wait in the worker stays in the queue: its time runs from the claim.
local crashes = math.min(tonumber(row[13] or 0), ALONE)
if crashes >= SUSPECT and not string.find(ARGV[4], crashes, 1, true) then return {'nothing'} end
if turned_back(id, row[1], now) then return {'nothing'} end

local attempts, fence = tonumber(row[11]) + 1, tonumber(row[12]) + 1
redis.call('HSET', key, 'state', 'running', 'worker', worker, 'claim', claim, 'started_at', now,
  'attempts', attempts, 'fence', fence, unpack(shift(id, row, 'running', now + tonumber(row[10]) * 1000)))
redis.call('SADD', 'cf:owned:' .. worker, id)
observe('wait', worker_type, now - tonumber(queued_at), row[14])
event(id, 'running', '{"state":"running","attempt":' .. attempts .. '}')
return {'claimed', redis.call('HGETALL', key), redis.call('HGETALL', 'cf:journal:' .. id)}
