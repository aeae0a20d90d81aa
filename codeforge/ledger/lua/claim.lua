-- ARGV: id, worker, claim id, the numbers of crashes of suspects that the worker can run now, as one word.
-- Answers {'claimed', row, journal (HGETALL)}, {'nothing'} or {'no_lease'}. A row is the values of CLAIMED (rows.py), which
-- begins with tenant, type, place, queued_at, started_at, wait_ms, run_ms (PLACED), state, claim, timeout_s, attempts, fence,
-- crashes and trace.
local id, worker, claim = ARGV[1], ARGV[2], ARGV[3]
local now = now_ms()
local lease = redis.call('ZSCORE', 'cf:lease', worker)
if not lease or tonumber(lease) <= now then return {'no_lease'} end

local key = task_key(id)
local row = redis.call('HMGET', key, unpack(CLAIMED))
local worker_type, state = row[2], row[8]
if state == 'running' and row[9] == claim then
  return {'claimed', row, redis.call('HGETALL', 'cf:journal:' .. id)}
end
local queued_at = worker_type and redis.call('ZSCORE', 'cf:queued:' .. worker_type, id)
if state ~= 'queued' or not queued_at then return {'nothing'} end
-- A suspect that would only wait in the worker stays in the queue: its time runs from the claim.
local crashes = math.min(tonumber(row[13] or 0), ALONE)
if crashes >= SUSPECT and not string.find(ARGV[4], crashes, 1, true) then return {'nothing'} end
if turned_back(id, row[1], now) then return {'nothing'} end

local journal = row[12] == '0' and {} or redis.call('HGETALL', 'cf:journal:' .. id)  -- nobody had it before: there is none
local changes = shift(id, row, 'running', now + tonumber(row[10]) * 1000)
row[5], row[8], row[11], row[12] = tostring(now), 'running', tostring(row[11] + 1), tostring(row[12] + 1)
if changes[3] == 'wait_ms' then row[6] = tostring(changes[4]) end
redis.call('HSET', key, 'state', 'running', 'worker', worker, 'claim', claim, 'started_at', now,
  'attempts', row[11], 'fence', row[12], unpack(changes))
redis.call('SADD', 'cf:owned:' .. worker, id)
observe('wait', worker_type, now - tonumber(queued_at), row[14])
event(id, 'running', '{"state":"running","attempt":' .. row[11] .. '}')
return {'claimed', row, journal}
