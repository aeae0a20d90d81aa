-- ARGV: id, tenant, partitions. Answers {'cancelled'}, {'running'} (the worker is told), {'missing'}, {'conflict', state}.
local id = ARGV[1]
local key = task_key(id)
local row = redis.call('HMGET', key, 'tenant', 'state', 'worker')
if row[1] ~= ARGV[2] then return {'missing'} end
if row[2] == 'queued' then
  set_error(id, 'cancelled', 'cancelled by the client before it ran', '0')
  terminate(id, 'cancelled', now_ms(), tonumber(ARGV[3]))
  return {'cancelled'}
end
if row[2] ~= 'running' then return {'conflict', row[2]} end
if redis.call('HSET', key, 'cancel', '1') == 1 then event(id, 'cancelling', '{"state":"running"}') end
redis.call('SADD', 'cf:cancel:' .. row[3], id)
redis.call('EXPIRE', 'cf:cancel:' .. row[3], 86400)
return {'running'}
