-- Where tasks wait and run, and the gates before the queues. Python prepends TYPES, RANKS (of priorities), BELLS, and
-- the caps MAX_AGENTS, TENANT_MAX_RUNNING, TENANT_RUNNING (0: none); see admission.py.
--
--   place     sorted set                 score
--   held      cf:held:<type>:<tenant>    its turn; the tenant has as much running, and let through, as it may
--   parked    cf:held:<type>             its turn; the deployment has
--   queued    cf:queued:<type>           since when, in ms; rung for
--   delayed   cf:delayed:<type>          until when, in ms
--   running   cf:running:<type>          until when, in ms
--
-- A task's row says its place. What a tenant has where is counted in cf:tenant:<tenant> in the same move: `running`,
-- `waiting` (held, parked, queued and delayed) and `ready:<type>` (parked and queued).

local MOST = 100  -- let through one gate at a time

local function place_key(place, worker_type, tenant)
  if place == 'held' then return 'cf:held:' .. worker_type .. ':' .. tenant end
  if place == 'parked' then return 'cf:held:' .. worker_type end
  return 'cf:' .. place .. ':' .. worker_type
end

local function tally_place(place, worker_type, tenant, n)
  local key = 'cf:tenant:' .. tenant
  tally(key, place == 'running' and 'running' or 'waiting', n)
  if place == 'parked' or place == 'queued' then tally(key, 'ready:' .. worker_type, n) end
  if place == 'held' then tally('cf:held', worker_type, n) end
end

-- What `shift` must know of a task's row.
local PLACED = {'tenant', 'type', 'place', 'queued_at', 'started_at', 'wait_ms', 'run_ms'}

-- Puts a task into a place, and out of the one where it was. `row` is its PLACED, `to` is '' for a task that ended. Answers
-- the fields to set in its row: name, value... How long it waited from when it was due, and how long it ran, is added up
-- over its attempts.
local function shift(id, row, to, score)
  local tenant, worker_type, from = row[1], row[2], row[3]
  local fields = {'place', to}
  if not from then  -- accepted before places were kept
    for _, place in ipairs({'queued', 'delayed', 'running'}) do put('Z', place_key(place, worker_type), id) end
  elseif from ~= '' then
    local set = place_key(from, worker_type, tenant)
    put('Z', set, id)
    tally_place(from, worker_type, tenant, -1)
    if from == 'held' then
      write_gathered()
      if redis.call('EXISTS', set) == 0 then redis.call('SREM', 'cf:gates', worker_type .. ':' .. tenant) end
    end
  end
  if from == 'running' then
    fields[3], fields[4] = 'run_ms', tonumber(row[7] or 0) + now_ms() - tonumber(row[5])
  elseif to == 'running' and row[4] then
    fields[3], fields[4] = 'wait_ms', tonumber(row[6] or 0) + now_ms() - tonumber(row[4])
  end
  if to ~= '' then
    put('Z', place_key(to, worker_type, tenant), id, score)
    tally_place(to, worker_type, tenant, 1)
    if to == 'held' then redis.call('SADD', 'cf:gates', worker_type .. ':' .. tenant) end
  end
  return fields
end

local function move(id, to, score)
  local row = redis.call('HMGET', task_key(id), unpack(PLACED))
  redis.call('HSET', task_key(id), unpack(shift(id, row, to, score)))
end

local function agents()
  write_gathered()
  local n = 0
  for _, worker_type in ipairs(TYPES) do n = n + redis.call('ZCARD', 'cf:running:' .. worker_type) end
  return n
end

local function running_cap(tenant) return TENANT_RUNNING[tenant] or TENANT_MAX_RUNNING end

-- How many more tasks of a type may pass the tenant's gate. What waits of other types takes no room, or tasks whose
-- workers are missing would keep all others from running: a claim looks again.
local function tenant_room(tenant, worker_type)
  local cap = running_cap(tenant)
  if cap == 0 then return MOST end
  write_gathered()
  local used = redis.call('HMGET', 'cf:tenant:' .. tenant, 'running', 'ready:' .. worker_type)
  return cap - tonumber(used[1] or 0) - tonumber(used[2] or 0)
end

local function deployment_room(worker_type)
  if MAX_AGENTS == 0 then return MOST end
  return MAX_AGENTS - agents() - redis.call('ZCARD', 'cf:queued:' .. worker_type)
end

-- Tasks of high priority that were rung for, and when; those that wait no more are taken out by the reaper.
local function urgent_key(worker_type) return 'cf:urgent:' .. worker_type end

-- Rings for a queued task, which was rung for before or not, and answers the fields to set in its row. Its first message
-- has its own id, later ones <id>:r<n>.
local function ring_for(id, now, worker_type, priority, before)
  local bell = BELLS[worker_type .. ':' .. priority]
  if priority == 'high' then redis.call('ZADD', urgent_key(worker_type), now, id) end
  ring(bell[1], bell[2], id, before and redis.call('HINCRBY', task_key(id), 'rings', 1) or 0)
  return 'rung_at', now
end

-- What `pass` must know of a task's row.
local WAITING = {'tenant', 'type', 'place', 'queued_at', 'started_at', 'wait_ms', 'run_ms',  -- PLACED
  'priority', 'trace', 'rung_at'}

-- Takes a waiting task as far as the gates let it go. `row` is its WAITING; answers the fields to set in its row.
local function pass(id, now, row)
  local worker_type, place = row[2], row[3]
  local turn = RANKS[row[8]] * 1e13 + tonumber(row[4])
  if place ~= 'parked' and tenant_room(row[1], worker_type) <= 0 then return shift(id, row, 'held', turn) end
  if deployment_room(worker_type) <= 0 then return shift(id, row, 'parked', turn) end
  if place == 'held' or place == 'parked' then observe('held', worker_type, now - tonumber(row[4]), row[9]) end
  local fields = shift(id, row, 'queued', now)
  fields[#fields + 1], fields[#fields + 2] = ring_for(id, now, worker_type, row[8], row[10])
  return fields
end

local function admit(id, now)
  local row = redis.call('HMGET', task_key(id), unpack(WAITING))
  redis.call('HSET', task_key(id), unpack(pass(id, now, row)))
end

-- Lets the next tasks of a gate through: the oldest of the highest priority. Answers how many went.
local function open(gate, room, now)
  if room <= 0 then return 0 end
  write_gathered()
  local ids = redis.call('ZRANGE', gate, 0, math.min(room, MOST) - 1)
  for _, id in ipairs(ids) do
    if redis.call('EXISTS', task_key(id)) == 1 then admit(id, now) else redis.call('ZREM', gate, id) end
  end
  return #ids
end

local function open_deployment(now)
  local passed = 0
  for _, worker_type in ipairs(TYPES) do
    passed = passed + open('cf:held:' .. worker_type, deployment_room(worker_type), now)
  end
  return passed
end

-- Something of the tenant's ended, or went back: who may go on instead?
local function release(tenant, now)
  if running_cap(tenant) > 0 then
    for _, worker_type in ipairs(TYPES) do
      if redis.call('SISMEMBER', 'cf:gates', worker_type .. ':' .. tenant) == 1 then
        open('cf:held:' .. worker_type .. ':' .. tenant, tenant_room(tenant, worker_type), now)
      end
    end
  end
  if MAX_AGENTS > 0 then open_deployment(now) end
end

-- A claim over a cap: the task waits at the gate where it was in turn before. Answers whether it does.
local function turned_back(id, tenant, now)
  local cap, to = running_cap(tenant), nil
  if cap > 0 then write_gathered() end
  if cap > 0 and tonumber(redis.call('HGET', 'cf:tenant:' .. tenant, 'running') or 0) >= cap then
    to = 'held'
  elseif MAX_AGENTS > 0 and agents() >= MAX_AGENTS then
    to = 'parked'
  else
    return false
  end
  local row = redis.call('HMGET', task_key(id), 'priority', 'queued_at')
  move(id, to, RANKS[row[1]] * 1e13 + tonumber(row[2]))
  release(tenant, now)  -- its place in the queue is another's now
  return true
end

-- A task waits from now on: it is due, or given back.
local function enqueue(id, now)
  local key = task_key(id)
  local row = redis.call('HMGET', key, unpack(WAITING))
  redis.call('HSET', key, 'state', 'queued', 'not_before', '', 'queued_at', now, unpack(shift(id, row, '')))
  row[3], row[4] = '', now
  redis.call('HSET', key, unpack(pass(id, now, row)))
end

-- Whether the tenant may not have so many waiting tasks more.
local function queue_full(tenant, more)
  local cap = TENANT_QUEUED[tenant] or TENANT_MAX_QUEUED
  if cap > 0 then write_gathered() end
  return cap > 0 and tonumber(redis.call('HGET', 'cf:tenant:' .. tenant, 'waiting') or 0) + more > cap
end
