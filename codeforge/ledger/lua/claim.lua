-- ARGV: id, worker, claim id, the numbers of crashes of suspects that the worker can run now, as one word.
-- Answers {'claimed', row (HGETALL), journal (HGETALL)}, {'nothing'} or {'no_lease'}.
local id, worker, claim = ARGV[1], ARGV[2], ARGV[3]
local now = now_ms()
local lease = redis.call('ZSCORE', 'cf:lease', worker)
if not lease or tonumber(lease) <= now then return {'no_lease'} end

local key = task_key(id)
local row = redis.call('HMGET', key, 'state', 'type', 'claim', 'timeout_s', 'attempts', 'trace')
local state, worker_type = row[1], row[2]
if state == 'running' and row[3] == claim then
  return {'claimed', redis.call('HGETALL', key), redis.call('HGETALL', 'cf:journal:' .. id)}
end
local queued_at = worker_type and redis.call('ZSCORE', 'cf:queued:' .. worker_type, id)
if state ~= 'queued' or not queued_at then return {'nothing'} end
-- A suspect that would only wait in the worker stays in the queue: its time runs from the claim.
local crashes = math.min(tonumber(redis.call('HGET', key, 'crashes') or 0), ALONE)
if crashes >= SUSPECT and not string.find(ARGV[4], crashes, 1, true) then return {'nothing'} end
if turned_back(id, now) then return {'nothing'} end

redis.call('HINCRBY', key, 'fence', 1)
local attempts = redis.call('HINCRBY', key, 'attempts', 1)
redis.call('HSET', key, 'state', 'running', 'worker', worker, 'claim', claim, 'started_at', now)
move(id, 'running', now + tonumber(row[4]) * 1000)
redis.call('SADD', 'cf:owned:' .. worker, id)
redis.call('SREM', 'cf:cancel:' .. worker, id)  -- it was for an earlier attempt
observe('wait', worker_type, now - tonumber(queued_at), row[6])
event(id, 'running', '{"state":"running","attempt":' .. attempts .. '}')
return {'claimed', redis.call('HGETALL', key), redis.call('HGETALL', 'cf:journal:' .. id)}
