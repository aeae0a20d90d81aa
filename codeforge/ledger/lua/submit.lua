-- ARGV: idempotency key or '', body hash, limit of the outbox in bytes or 0, number of tasks, then per task: id, tenant,
--       type, priority, input, labels, parent, timeout_s, max_attempts, delay_ms, trace context or '', tokens or ''
-- Answers {'ok', when in ms, ids...}, {'replayed', when in ms, ids...}, {'conflict'}, {'no_parent', task number},
-- {'outbox_full'}, {'queue_full'}. A key lives as long as its tasks: `open` counts those of them that are not stored yet,
-- and the last one gives it its time to live (settle.lua).
local next_arg = 0
local function arg()
  next_arg = next_arg + 1
  return ARGV[next_arg]
end

local idem, body_hash, outbox_limit = arg(), arg(), tonumber(arg())
if idem ~= '' then
  local known = redis.call('HGETALL', idem)
  if #known > 0 then
    local ids, own = {}, {}
    for i = 1, #known, 2 do
      local number = tonumber(known[i])
      if number then ids[number] = known[i + 1] else own[known[i]] = known[i + 1] end
    end
    if own.hash ~= body_hash then return {'conflict'} end
    redis.call('HSET', idem, 'hash', body_hash)  -- a write: WAIT waits for the replicas only after one
    return {'replayed', own.at, unpack(ids)}
  end
end

local tasks = {}
for i = 1, tonumber(arg()) do
  tasks[i] = {id = arg(), tenant = arg(), type = arg(), priority = arg(),
    input = arg(), labels = arg(), parent = arg(), timeout = arg(), attempts = arg(), delay = tonumber(arg()),
    trace = arg(), budget = arg()}
  local parent = tasks[i].parent
  if parent ~= '' and redis.call('HGET', task_key(parent), 'tenant') ~= tasks[i].tenant then
    return {'no_parent', i}
  end
end

-- A task that is there already is of this very call, whose answer was lost: it was accepted.
local is_new = redis.call('EXISTS', task_key(tasks[1].id)) == 0
if is_new then
  if outbox_limit > 0 and tonumber(redis.call('GET', 'cf:outbox:bytes') or 0) >= outbox_limit then
    return {'outbox_full'}
  end
  if queue_full(tasks[1].tenant, #tasks) then return {'queue_full'} end
end

-- Puts a task where it waits. Answers the fields of its row that say so.
local function placed(t, now)
  local row = {t.tenant, t.type, '', now, false, false, false, t.priority, t.trace ~= '' and t.trace, false}  -- WAITING
  if t.delay <= 0 then return {'queued_at', now, unpack(pass(t.id, now, row))} end
  return {'not_before', now + t.delay, unpack(shift(t.id, row, 'delayed', now + t.delay))}
end

local now = now_ms()
local ids = {}
for i, t in ipairs(tasks) do
  ids[i] = t.id
  local key = task_key(t.id)
  if i > 1 then is_new = redis.call('EXISTS', key) == 0 end
  if is_new then
    local fields = placed(t, now)
    local function set(name, value) fields[#fields + 1], fields[#fields + 2] = name, value end
    if t.budget ~= '' then set('budget_tokens', t.budget) end
    if idem ~= '' then set('idem', idem) end
    if t.trace ~= '' then set('trace', t.trace) end
    if t.parent ~= '' then set('parent_id', t.parent) end
    -- A small row is looked through from its beginning: first what claims and outcomes look for. What is absent is none.
    redis.call('HSET', key, 'tenant', t.tenant, 'type', t.type, 'state', 'queued', 'fence', 0, 'attempts', 0,
      'timeout_s', t.timeout, 'priority', t.priority, 'labels', t.labels, 'created_at', now, 'max_attempts', t.attempts,
      'input', t.input, 'input_tokens', 0, 'output_tokens', 0, 'usd', 0, 'id', t.id, unpack(fields))
    redis.call('ZADD', 'cf:tasks:' .. t.tenant, 0, t.id)
    redis.call('SADD', 'cf:tenants', t.tenant)
    count('submitted:' .. t.type)
    event(t.id, 'queued', '{"state":"queued"}')
  else
    redis.call('HSET', key, 'id', t.id)  -- a write: WAIT waits for the replicas only after one
  end
  if idem ~= '' then redis.call('HSET', idem, i, t.id) end
end
if idem ~= '' then
  redis.call('HSET', idem, 'hash', body_hash, 'at', now, 'open', #tasks)
end
return {'ok', now, unpack(ids)}
