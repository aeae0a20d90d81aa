-- Puts finished tasks into the outbox again. ARGV: partitions, dead-letter key, then (letter id or '', task id, fence or
-- '')... A letter is removed in any case. Answers a word for each: 'queued'; 'waiting', for there is an entry already;
-- 'stored', for a letter's task that both stores have by now; 'moved_on', for one that was replayed or still runs; 'gone'.
local words = {}
for i = 3, #ARGV, 3 do
  local letter, id, fence = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key = task_key(id)
  local row = redis.call('HMGET', key, 'state', 'fence', 'outbox_bytes', 'stored')
  local word = 'queued'
  if not row[1] then
    word = 'gone'
  elseif row[1] == 'queued' or row[1] == 'running' or (fence ~= '' and row[2] ~= fence) then
    word = 'moved_on'
  elseif row[3] then
    word = 'waiting'
  elseif letter ~= '' and row[4] == '1' then
    word = 'stored'
  else
    local bytes = redis.call('HSTRLEN', key, 'input') + redis.call('HSTRLEN', key, 'result')
    redis.call('HSET', key, 'stored', 0, 'outbox_bytes', bytes)
    keep(id)
    await_projection(id, tonumber(ARGV[1]), row[2], bytes)
  end
  if letter ~= '' then redis.call('XDEL', ARGV[2], letter) end
  words[#words + 1] = word
end
return words
