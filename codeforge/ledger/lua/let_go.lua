-- Gives up a lock that the owner holds. ARGV: key, owner.
if redis.call('GET', ARGV[1]) == ARGV[2] then redis.call('DEL', ARGV[1]) end
return 1
