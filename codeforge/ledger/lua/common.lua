-- Shared by every script. Python prepends BOUNDS_MS, MAX_EVENTS, MAX_MODELS, MAX_MODEL_NAME, SUSPECT and ALONE (keys.py),
-- and CLAIMED and EARLIER (rows.py), and appends the script's own text.
-- Client JSON is carried as text: cjson would turn [] into {}. It is used to escape single strings only.

-- A run of a script is one instant: servers older than Redis 7.2 let TIME go on while a script runs.
local instant
local function now_ms()
  if not instant then
    local t = redis.call('TIME')
    instant = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return instant
end

-- A whole number as text. Lua's own way takes as long as a command, and a run has few that differ.
local texts = {}
local function text(n)
  local known = texts[n]
  if not known then
    known = string.format('%.0f', n)
    texts[n] = known
  end
  return known
end

local function task_key(id) return 'cf:task:' .. id end

local function event(id, kind, data)
  redis.call('XADD', 'cf:events:' .. id, 'MAXLEN', '~', MAX_EVENTS, '*', 'kind', kind, 'data', data)
end

-- Counters and members of sets. A run that takes several calls gathers what they change and writes it at its end, one
-- command a counter and one or two a set; whatever reads them before that has them written first.
local sums, moved

-- `field` is '' where the key itself is the counter.
local function add(key, field, n)
  if not sums then
    if field == '' then return redis.call('INCRBY', key, n) end
    return redis.call('HINCRBY', key, field, n)
  end
  sums[key] = sums[key] or {}
  sums[key][field] = (sums[key][field] or 0) + n
end

local function count(field, n) add('cf:stats', field, n or 1) end

-- A tally of 0 is absent.
local function tally(key, field, n)
  if add(key, field, n) == 0 then redis.call('HDEL', key, field) end
end

-- Puts a member into a sorted set (`kind` Z) with a score, or into a set (S); takes it out where `score` is nil.
local function put(kind, key, member, score)
  if moved then
    local set = moved[key]
    if not set then
      set = {kind = kind, members = {}}
      moved[key] = set
    end
    set.members[member] = score or false
  elseif not score then
    redis.call(kind .. 'REM', key, member)
  elseif kind == 'Z' then
    redis.call('ZADD', key, score, member)
  else
    redis.call('SADD', key, member)
  end
end

-- The score of a member of a sorted set; nil or false when it is not there.
local function score_of(key, member)
  local set = moved and moved[key]
  local score = set and set.members[member]
  if score ~= nil then return score end
  return redis.call('ZSCORE', key, member)
end

local function write_members(key, set)
  local new, gone = {}, {}
  for member, score in pairs(set.members) do
    if not score then
      gone[#gone + 1] = member
    else
      if set.kind == 'Z' then new[#new + 1] = score end
      new[#new + 1] = member
    end
  end
  if #gone > 0 then redis.call(set.kind .. 'REM', key, unpack(gone)) end
  if #new > 0 then redis.call(set.kind .. 'ADD', key, unpack(new)) end
end

local function write_gathered()
  if not sums then return end
  local counted, changed = sums, moved
  sums, moved = nil, nil
  for key, fields in pairs(counted) do
    local write = (key == 'cf:stats' or key == 'cf:outbox:bytes') and add or tally
    for field, n in pairs(fields) do write(key, field, n) end
  end
  for key, set in pairs(changed) do write_members(key, set) end
  sums, moved = {}, {}
end

-- What a model is counted as. Clients may name models, so only so many are told apart, and only such as are known:
-- answered, or the operator's own. `default` is the operator's while its name is not known yet.
local function model_label(model, known)
  if #model > MAX_MODEL_NAME then return 'other' end
  if model == 'default' or redis.call('SISMEMBER', 'cf:models', model) == 1 then return model end
  if not known or redis.call('SCARD', 'cf:models') >= MAX_MODELS then return 'other' end
  redis.call('SADD', 'cf:models', model)
  return model
end

-- A histogram is one counter a bucket (not cumulative) and a sum, all in milliseconds. The last observation of a bucket
-- that was traced (`trace` is a W3C traceparent, whose flags end in 1 then) is kept as its example.
local function observe(name, worker_type, ms, trace)
  local bucket = #BOUNDS_MS + 1
  for i = 1, #BOUNDS_MS do
    if ms <= BOUNDS_MS[i] then bucket = i break end
  end
  local prefix = 'hist:' .. name .. ':' .. worker_type .. ':'
  count(prefix .. text(bucket))
  count(prefix .. 'sum', math.floor(ms))
  if trace and string.find(trace, '[13579bdf]$') then
    local example = string.format('%s:%.0f:%.0f', string.sub(trace, 4, 35), ms, now_ms())
    redis.call('HSET', 'cf:exemplars', name .. ':' .. worker_type .. ':' .. bucket, example)
  end
end

-- Rings the doorbell: LPUSH of a ready Celery message. Ids are hex, dashes and ":r<n>": safe in a gsub replacement.
local function ring(queue, template, id, number)
  local celery_id = id
  if number > 0 then celery_id = id .. ':r' .. number end
  local body = string.gsub(template, '@CELERY_ID@', celery_id)
  body = string.gsub(body, '@TASK_ID@', id)
  redis.call('LPUSH', queue, body)
end

local function partition_of(id, partitions)
  return tonumber(string.sub(id, -4), 16) % partitions
end

-- Leaves word for a worker that this attempt of its is to stop; the beat of its lease takes it along.
local function tell(worker, id, fence)
  redis.call('SADD', 'cf:cancel:' .. worker, id .. ':' .. fence)
  redis.call('EXPIRE', 'cf:cancel:' .. worker, 86400)
end

local function disown(id, worker)
  if worker and worker ~= '' then put('S', 'cf:owned:' .. worker, id) end
end

-- When a worker's lease ends, in ms; false without one. A run asks once: no script that asks renews leases.
local leases = {}
local function lease_of(worker)
  if leases[worker] == nil then leases[worker] = redis.call('ZSCORE', 'cf:lease', worker) end
  return leases[worker]
end

-- A worker may write a task while it runs under exactly this fence and claim.
local function owns(id, fence, claim)
  local row = redis.call('HMGET', task_key(id), 'state', 'fence', 'claim')
  return row[1] == 'running' and row[2] == fence and row[3] == claim
end

-- Puts a finished task into the outbox, whose size in bytes of inputs and results is kept exactly: `outbox_bytes` in a
-- task's row, which the caller sets to `bytes`, is what it adds to that size, and is there only while an entry of its last
-- outcome waits. `before` is what was there.
local function await_projection(id, partitions, fence, bytes, before)
  add('cf:outbox:bytes', '', bytes - (before or 0))
  redis.call('XADD', 'cf:outbox:' .. partition_of(id, partitions), '*', 'id', id, 'fence', fence, 'bytes', bytes)
end

-- `bytes` is the row's `outbox_bytes`.
local function leave_outbox(id, bytes)
  if bytes then
    redis.call('DECRBY', 'cf:outbox:bytes', bytes)
    redis.call('HDEL', task_key(id), 'outbox_bytes')
  end
end

-- A task that is to end, or to be stored, once more stays until then, and so does the key under which it was submitted.
local function keep(id)
  for _, kind in ipairs({'task', 'journal', 'calls', 'begun', 'events'}) do redis.call('PERSIST', 'cf:' .. kind .. ':' .. id) end
  local row = redis.call('HMGET', task_key(id), 'idem', 'idem_let_go')
  if not row[1] or not row[2] then return end
  redis.call('HDEL', task_key(id), 'idem_let_go')
  if redis.call('EXISTS', row[1]) == 1 then
    redis.call('HINCRBY', row[1], 'open', 1)
    redis.call('PERSIST', row[1])
  end
end
