-- ARGV: id, tenant, partitions, the call's key: with the same one it is this very call again. Answers {'cancelled'}, {'running'} (the worker is told), {'missing'}, {'conflict', state}.
local id = ARGV[1]
local key = task_key(id)
local row = redis.call('HMGET', key, 'tenant', 'state', 'worker', 'cancel_key', 'cancel_answer', 'fence')
if row[1] ~= ARGV[2] then return {'missing'} end
if row[4] == ARGV[4] then return {row[5]} end
if row[2] == 'queued' then
  redis.call('HSET', key, 'cancel_key', ARGV[4], 'cancel_answer', 'cancelled')
  set_error(id, 'cancelled', 'cancelled by the client before it ran', '0')
  terminate(id, 'cancelled', now_ms(), tonumber(ARGV[3]))
  return {'cancelled'}
end
if row[2] ~= 'running' then return {'conflict', row[2]} end
redis.call('HSET', key, 'cancel_key', ARGV[4], 'cancel_answer', 'running')
if redis.call('HSET', key, 'cancel', '1') == 1 then event(id, 'cancelling', '{"state":"running"}') end
tell(row[3], id, row[6])
return {'running'}
