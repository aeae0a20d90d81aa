-- ARGV: outbox key, dead-letter key, then (entry id, task id, fence, retention in s, reason or '')...
-- Removes the entries and marks their tasks stored, unless a later attempt replaced what the entry spoke of. An entry
-- that is not there was settled before: that counts.

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

for i = 3, #ARGV, 5 do
  local id, retention, reason = ARGV[i + 1], ARGV[i + 3], ARGV[i + 4]
  local row = redis.call('HMGET', task_key(id), 'fence', 'finished_at', 'state', 'outbox_bytes', 'idem', 'idem_let_go')
  local entry = not row[1] and redis.call('XRANGE', ARGV[1], ARGV[i], ARGV[i])[1]
  if redis.call('XDEL', ARGV[1], ARGV[i]) == 0 then
    -- settled by another projector, or by this very call, repeated because its answer was lost
  elseif not row[1] then
    uncount(entry)
  elseif row[1] == ARGV[i + 2] and row[2] and row[2] ~= '' then
    leave_outbox(id, row[4])
    if reason == '' then
      redis.call('HSET', task_key(id), 'stored', 1)
      let_key_go(id, row[5], row[6], retention)
      for _, kind in ipairs({'task', 'calls', 'events'}) do redis.call('EXPIRE', 'cf:' .. kind .. ':' .. id, retention) end
      -- What succeeded is never replayed: its journal, often the largest part, is of no more use.
      if row[3] == 'succeeded' then
        redis.call('UNLINK', 'cf:journal:' .. id, 'cf:begun:' .. id)
      else
        for _, kind in ipairs({'journal', 'begun'}) do redis.call('EXPIRE', 'cf:' .. kind .. ':' .. id, retention) end
      end
    else
      redis.call('XADD', ARGV[2], 'MAXLEN', '~', 100000, '*', 'id', id, 'fence', ARGV[i + 2], 'reason', reason)
    end
  end
end
return 1
