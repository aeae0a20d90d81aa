-- ARGV: id, fence, claim, partitions, '1' when the process that ran it broke with others aboard. Answers 1, or 0 for a stale claim.
local id = ARGV[1]
local key = task_key(id)
local mark = ARGV[3] .. ':handed_back'
if not owns(id, ARGV[2], ARGV[3]) then
  -- The same call again, because its answer was lost, is answered as the first time.
  local row = redis.call('HMGET', key, 'fence', 'ended_by')
  if row[1] == ARGV[2] and row[2] == mark then return 1 end
  return 0
end
local row = redis.call('HMGET', key, 'type', 'worker', 'cancel', 'tenant', 'attempts')
local now = now_ms()
local crashes
if ARGV[5] == '1' then crashes = crash_in_company(id) else redis.call('HINCRBY', key, 'attempts', -1) end
redis.call('HSET', key, 'ended_by', mark)
count('attempts:' .. row[1] .. (crashes and ':worker_lost' or ':handed_back'))
if row[3] == '1' then  -- the next worker would not hear of the cancellation
  set_error(id, 'cancelled', 'cancelled by the client', '0')
  terminate(id, 'cancelled', now, tonumber(ARGV[4]))
  return 1
end
disown(id, row[2])
redis.call('HSET', key, 'worker', '')
enqueue(id, now)
if crashes then tell_of_crash(id, row[5], crashes) else event(id, 'handed_back', '{"state":"queued"}') end
release(row[4], now)
return 1
