-- ARGV: id, tenant, the call's key: with the same one it is this very call again. Answers {'queued'}, {'missing'}, {'conflict', state} or {'queue_full'}.
local id = ARGV[1]
local key = task_key(id)
local row = redis.call('HMGET', key, 'tenant', 'state', 'type', 'replay_key')
if row[1] ~= ARGV[2] then return {'missing'} end
if row[4] == ARGV[3] then return {'queued'} end
if row[2] ~= 'dead' and row[2] ~= 'failed' and row[2] ~= 'cancelled' then return {'conflict', row[2]} end
if queue_full(row[1], 1) then return {'queue_full'} end
local now = now_ms()
-- An entry of the earlier outcome may still wait; it is not projected any more.
leave_outbox(id, redis.call('HGET', key, 'outbox_bytes'))
redis.call('HSET', key, 'attempts', 0, 'stored', 0, 'replay_key', ARGV[3])
-- An outcome is known by its fence: one that is still in the outbox must not pass for the next.
redis.call('HINCRBY', key, 'fence', 1)
redis.call('HDEL', key, 'cancel', 'claim', 'error_code', 'error_message', 'error_retryable', 'started_at',
  'finished_at', 'result', 'progress', 'reasons', 'crashes')
keep(id)
redis.call('ZREM', 'cf:dead:' .. row[3], id)
enqueue(id, now)
count('replayed:' .. row[3])
event(id, 'queued', '{"state":"queued","replay":true}')
return {'queued'}
