-- Keeps a page, and ends the right to fetch it. ARGV: page, holder, value ('': keeps nothing), keep in ms, fresh in ms,
-- bytes that all pages may have. The oldest ones make room.
local id, value, most = ARGV[1], ARGV[3], tonumber(ARGV[6])
local key = 'cf:page:' .. id
local now = now_ms()

local function drop(page)
  local size = redis.call('HGET', 'cf:pages:sizes', page)
  if size then redis.call('DECRBY', 'cf:pages:bytes', size) end
  redis.call('HDEL', 'cf:pages:sizes', page)
  redis.call('ZREM', 'cf:pages', page)
  redis.call('DEL', 'cf:page:' .. page)
end

if redis.call('GET', key .. ':holder') == ARGV[2] then redis.call('DEL', key .. ':holder') end
if value == '' then return 0 end
drop(id)
for _, page in ipairs(redis.call('ZRANGEBYSCORE', 'cf:pages', '-inf', now, 'LIMIT', 0, 100)) do drop(page) end
if #value > most / 8 then return 0 end
local room = most - #value
for _ = 1, 100 do
  if tonumber(redis.call('GET', 'cf:pages:bytes') or 0) <= room then break end
  local oldest = redis.call('ZRANGE', 'cf:pages', 0, 0)[1]
  if not oldest then break end
  drop(oldest)
end
if tonumber(redis.call('GET', 'cf:pages:bytes') or 0) > room then return 0 end
redis.call('HSET', key, 'value', value, 'at', now, 'fresh_until', now + tonumber(ARGV[5]))
redis.call('PEXPIRE', key, ARGV[4])
redis.call('ZADD', 'cf:pages', now + tonumber(ARGV[4]), id)
redis.call('HSET', 'cf:pages:sizes', id, #value)
redis.call('INCRBY', 'cf:pages:bytes', #value)
return 1
