-- Notes a reaper pass. When none was noted for a while, the ledger was away for everybody: workers could not renew and
-- could not hand in, so nobody is judged for one lease more. ARGV: lease in ms, length of a gap in ms.
-- Answers 1 when leases and time limits may be judged.
local now = now_ms()
local last = tonumber(redis.call('GET', 'cf:reaper:pass') or now)
redis.call('SET', 'cf:reaper:pass', now)
if now - last > tonumber(ARGV[2]) then redis.call('SET', 'cf:reaper:grace', now + tonumber(ARGV[1])) end
if now < tonumber(redis.call('GET', 'cf:reaper:grace') or 0) then return 0 end
return 1
