-- ARGV: outbox key, dead-letter key, how many letters are kept, for how many seconds tasks are that succeeded, failed,
-- were cancelled and are dead, then (entry id, task id, fence, reason or '')...
-- Removes the entries and marks their tasks stored, unless a later attempt replaced what the entry spoke of. An entry
-- that is not there was settled before: that counts. Answers how many letters went because there were too many.
local kept_s = {succeeded = ARGV[4], failed = ARGV[5], cancelled = ARGV[6], dead = ARGV[7]}

-- What an entry counted whose row is gone.
local function uncount(entry)
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'bytes' then redis.call('DECRBY', 'cf:outbox:bytes', fields[i + 1]) end
  end
end

-- The key under which the task was submitted is kept until the last of its tasks may go.
local function let_key_go(id, key, let_go, retention)
  if not key or let_go then return end
  redis.call('HSET', task_key(id), 'idem_let_go', 1)
  if redis.call('EXISTS', key) == 0 then return end
  local last = math.max(tonumber(redis.call('HGET', key, 'until') or 0), now_ms() + retention * 1000)
  redis.call('HSET', key, 'until', string.format('%.0f', last))
  if redis.call('HINCRBY', key, 'open', -1) <= 0 then redis.call('PEXPIREAT', key, string.format('%.0f', last)) end
end

-- From now on the task lasts only as long as its state is kept.
local function let_go(id, state, key, key_let_go)
  local retention = kept_s[state]
  let_key_go(id, key, key_let_go, retention)
  for _, kind in ipairs({'task', 'calls', 'events'}) do redis.call('EXPIRE', 'cf:' .. kind .. ':' .. id, retention) end
  -- What succeeded is never replayed: its journal, often the largest part, is of no more use.
  if state == 'succeeded' then
    redis.call('UNLINK', 'cf:journal:' .. id, 'cf:begun:' .. id)
  else
    for _, kind in ipairs({'journal', 'begun'}) do redis.call('EXPIRE', 'cf:' .. kind .. ':' .. id, retention) end
  end
end

-- Drops the oldest letters beyond those that are kept, at most a few more than came. Nothing settles their tasks any
-- more: each is let go, unless the letter was of an earlier outcome, or the task waits in the outbox or has a younger one.
local TRIMMED = {'fence', 'letter', 'outbox_bytes', 'stored', 'state', 'idem', 'idem_let_go'}
local function trim(came)
  local over = redis.call('XLEN', ARGV[2]) - tonumber(ARGV[3])
  if over <= 0 then return 0 end
  local oldest = redis.call('XRANGE', ARGV[2], '-', '+', 'COUNT', math.min(over, came + 10))
  for _, letter in ipairs(oldest) do
    local id, fence = letter[2][2], letter[2][4]
    local row = redis.call('HMGET', task_key(id), unpack(TRIMMED))
    local last = row[1] == fence and (row[2] or letter[1]) == letter[1]
    if last and not row[3] and row[4] ~= '1' then let_go(id, unpack(row, 5, 7)) end
    redis.call('XDEL', ARGV[2], letter[1])
  end
  return #oldest
end

local letters = 0
for i = 8, #ARGV, 4 do
  local id, fence, reason = ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local row = redis.call('HMGET', task_key(id), 'fence', 'finished_at', 'state', 'outbox_bytes', 'idem', 'idem_let_go')
  local entry = not row[1] and redis.call('XRANGE', ARGV[1], ARGV[i], ARGV[i])[1]
  if redis.call('XDEL', ARGV[1], ARGV[i]) == 0 then
    -- settled by another projector, or by this very call, repeated because its answer was lost
  elseif not row[1] then
    uncount(entry)
  elseif row[1] == fence and row[2] and row[2] ~= '' then
    leave_outbox(id, row[4])
    if reason == '' then
      redis.call('HSET', task_key(id), 'stored', 1)
      let_go(id, row[3], row[5], row[6])
    else
      local letter = redis.call('XADD', ARGV[2], '*', 'id', id, 'fence', fence, 'reason', reason)
      redis.call('HSET', task_key(id), 'letter', letter)
      letters = letters + 1
    end
  end
end
return letters > 0 and trim(letters) or 0
