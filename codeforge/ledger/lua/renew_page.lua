-- Renews the right to fetch a page, if it is still the holder's. ARGV: page, holder, lease in ms.
local holder = 'cf:page:' .. ARGV[1] .. ':holder'
if redis.call('GET', holder) == ARGV[2] then return redis.call('PEXPIRE', holder, ARGV[3]) end
return 0
