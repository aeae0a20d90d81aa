-- ARGV: outbox key, retention in s, dead-letter key, then (entry id, task id, fence, reason or '')...
-- Removes the entries and marks their tasks stored, unless a later attempt replaced what the entry spoke of. An entry
-- that is not there was settled before: that counts.

-- What an entry counted whose row is gone.
local function uncount(entry)
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'bytes' then redis.call('DECRBY', 'cf:outbox:bytes', fields[i + 1]) end
  end
end

for i = 4, #ARGV, 4 do
  local id, reason = ARGV[i + 1], ARGV[i + 3]
  local entry = redis.call('XRANGE', ARGV[1], ARGV[i], ARGV[i])[1]
  local row = redis.call('HMGET', task_key(id), 'fence', 'finished_at')
  redis.call('XDEL', ARGV[1], ARGV[i])
  if not entry then
    -- settled by another projector, or by this very call, repeated because its answer was lost
  elseif not row[1] then
    uncount(entry)
  elseif row[1] == ARGV[i + 2] and row[2] and row[2] ~= '' then
    leave_outbox(id)
    if reason == '' then
      redis.call('HSET', task_key(id), 'stored', 1)
      for _, kind in ipairs({'task', 'journal', 'calls', 'begun', 'events'}) do
        redis.call('EXPIRE', 'cf:' .. kind .. ':' .. id, ARGV[2])
      end
    else
      redis.call('XADD', ARGV[3], 'MAXLEN', '~', 100000, '*', 'id', id, 'fence', ARGV[i + 2], 'reason', reason)
    end
  end
end
return 1
