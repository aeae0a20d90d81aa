-- ARGV: id, worker, claim id, the numbers of crashes of suspects that the worker can run now, as one word.
-- Answers {'claimed', row, journal (HGETALL)}, {'nothing'} or {'no_lease'}. A row is the values of CLAIMED (rows.py), which
-- begins with tenant, type, place, queued_at, state, fence, attempts, timeout_s and trace, and then those of EARLIER, which
-- begins with started_at, wait_ms, run_ms, claim and crashes. Of a first attempt there is no journal, and of EARLIER only
-- what the claim itself sets.
local id, worker, claim = ARGV[1], ARGV[2], ARGV[3]
local now = now_ms()
local lease = lease_of(worker)
if not lease or tonumber(lease) <= now then return {'no_lease'} end

local key = task_key(id)
local row = redis.call('HMGET', key, unpack(CLAIMED))
local worker_type, state, fence = row[2], row[5], row[6]
local first = fence == '0'  -- nobody had it before: it has neither a journal nor what attempts leave in its row
local earlier = first and {} or redis.call('HMGET', key, unpack(EARLIER))
local function claimed()
  for _, value in ipairs(earlier) do row[#row + 1] = value end
  return {'claimed', row, not first and redis.call('HGETALL', 'cf:journal:' .. id) or nil}
end
if state == 'running' and earlier[4] == claim then return claimed() end
local queued_at = worker_type and score_of('cf:queued:' .. worker_type, id)
if state ~= 'queued' or not queued_at then return {'nothing'} end
-- A suspect that would only wait in the worker stays in the queue: its time runs from the claim.
local crashes = math.min(tonumber(earlier[5] or 0), ALONE)
if crashes >= SUSPECT and not string.find(ARGV[4], crashes, 1, true) then return {'nothing'} end
if turned_back(id, row[1], now) then return {'nothing'} end

local placed = {row[1], worker_type, row[3], row[4], earlier[1], earlier[2], earlier[3]}
local changes = shift(id, placed, 'running', now + tonumber(row[8]) * 1000)
row[5], row[6], row[7], earlier[1] = 'running', text(fence + 1), text(row[7] + 1), text(now)
if changes[3] == 'wait_ms' then earlier[2] = text(changes[4]) end
redis.call('HSET', key, 'state', 'running', 'worker', worker, 'claim', claim, 'started_at', earlier[1],
  'attempts', row[7], 'fence', row[6], unpack(changes))
put('S', 'cf:owned:' .. worker, id, true)
observe('wait', worker_type, now - tonumber(queued_at), row[9])
event(id, 'running', '{"state":"running","attempt":' .. row[7] .. '}')
return claimed()
