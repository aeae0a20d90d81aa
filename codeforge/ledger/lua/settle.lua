-- ARGV: outbox key, retention in s, dead-letter key, then (entry id, task id, fence, reason or '')...
-- Marks tasks stored unless a later attempt replaced what the entry spoke of, then removes the entries.
for i = 4, #ARGV, 4 do
  local id, reason = ARGV[i + 1], ARGV[i + 3]
  local row = redis.call('HMGET', task_key(id), 'fence', 'finished_at')
  if row[1] == ARGV[i + 2] and row[2] and row[2] ~= '' then
    if reason == '' then
      redis.call('HSET', task_key(id), 'stored', 1)
      for _, kind in ipairs({'task', 'journal', 'calls', 'begun', 'events'}) do
        redis.call('EXPIRE', 'cf:' .. kind .. ':' .. id, ARGV[2])
      end
    else
      redis.call('XADD', ARGV[3], 'MAXLEN', '~', 100000, '*', 'id', id, 'fence', ARGV[i + 2], 'reason', reason)
    end
  end
  redis.call('XDEL', ARGV[1], ARGV[i])
end
return 1
