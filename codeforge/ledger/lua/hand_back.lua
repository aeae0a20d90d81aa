-- ARGV: id, fence, claim, queue, message template. Answers 1, or 0 for a stale claim.
local id = ARGV[1]
local key = task_key(id)
local mark = ARGV[3] .. ':handed_back'
if not owns(id, ARGV[2], ARGV[3]) then
  -- The same call again, because its answer was lost, is answered as the first time.
  local row = redis.call('HMGET', key, 'fence', 'ended_by')
  if row[1] == ARGV[2] and row[2] == mark then return 1 end
  return 0
end
local row = redis.call('HMGET', key, 'type', 'worker')
local now = now_ms()
disown(id, row[2])
redis.call('ZREM', 'cf:running:' .. row[1], id)
redis.call('HINCRBY', key, 'attempts', -1)
redis.call('HSET', key, 'worker', '', 'ended_by', mark)
enqueue(id, row[1], now)
ring_again(ARGV[4], ARGV[5], id, now)
count('attempts:' .. row[1] .. ':handed_back')
event(id, 'handed_back', '{"state":"queued"}')
return 1
