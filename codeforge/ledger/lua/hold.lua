-- Takes or renews a lock. ARGV: key, owner, ttl in ms. Answers 1 when the owner holds it.
local holder = redis.call('GET', ARGV[1])
if holder and holder ~= ARGV[2] then return 0 end
redis.call('SET', ARGV[1], ARGV[2], 'PX', ARGV[3])
return 1
