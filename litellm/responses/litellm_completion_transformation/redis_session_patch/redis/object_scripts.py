"""What must happen together in a conversation object, as Lua scripts: see ``scripts``, whose rules hold here too."""

from .scripts import LIBRARY, Script

# Begins a request in a conversation object: its turns, and nobody else may begin one until HOLD or ADD ends that.
# ARGV: owner, seconds to live, the conversation's longest life (0: none), the most turns and bytes that may be read at
# all, the most bytes that are given now, the request's own turn, seconds to hold it (0: it is read alone). Gives a
# word, which may be 'locked'; else what READ gives, without turns while there is none.
TALK = Script(f"""
{LIBRARY}
local result, started = find(object, ARGV[1])
if result ~= 'found' then return {{result}} end
local seconds = life(ARGV[2], ARGV[3], started)
if seconds < 1 then return {{'unknown'}} end
local holder, ends = (redis.call('HGET', KEYS[1], 'held') or ''):match('^(%d+) (%d+)$')
local holds = ARGV[8] ~= '0'
if holds and holder and holder ~= ARGV[7] and tonumber(ends) >= now then return {{'locked'}} end
local tip = redis.call('ZSCORE', KEYS[2], object)
if not tip then return {{'incomplete'}} end
local given = {{'found', started, 0}}
if tip ~= '0' then given = chain(tip, started, ARGV[4], ARGV[5], ARGV[6]) end
if given[1] == 'found' or given[1] == 'large' then
  renew(object, seconds)
  if holds then redis.call('HSET', KEYS[1], 'held', ARGV[7] .. ' ' .. now + ARGV[8]) end
end
return given
""")

# Holds a conversation object longer, or no longer. ARGV: the turn that holds it, seconds from now (0: no longer). Gives
# 1; 0 where another one holds it, or nobody.
HOLD = Script("""
local holder = (redis.call('HGET', KEYS[1], 'held') or ''):match('^%d+')
if holder ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('HDEL', KEYS[1], 'held')
else
  redis.call('HSET', KEYS[1], 'held', ARGV[1] .. ' ' .. redis.call('TIME')[1] + ARGV[2])
end
return 1
""")

# A conversation object and some turns of it; its life renewed. ARGV: owner, seconds to live, the conversation's longest
# life (0: none), 'asc' or 'desc', the turn to begin with ('': the first, or the last), whether that one is given too
# (1, 0), the most turns (0: the object alone), the most bytes that are given now. Gives a word, 'absent' for a turn to
# begin with that is none of its; after 'large' the bytes of one turn, more than may be given now; after 'found' when it
# began, its text, its last turn (0: none), that one's header, whether there may be more turns (1, 0), then of each
# turn: turn, text, which of its items are deleted, the turn before it, that one's header. Turns of which no item is
# left are left out, but for the one to begin with.
LIST = Script(f"""
{LIBRARY}
local result, started = find(object, ARGV[1])
if result ~= 'found' then return {{result}} end
local seconds = life(ARGV[2], ARGV[3], started)
if seconds < 1 then return {{'unknown'}} end
local function header(turn)
  return turn ~= '0' and (redis.call('HGET', KEYS[1], turn) or ''):match('^[^\\n]*') or ''
end
local tip, text = redis.call('ZSCORE', KEYS[2], object), redis.call('HGET', KEYS[1], object)
if not tip or not text then return {{'incomplete'}} end
local given, bytes, large, lost = {{'found', started, text, tip, header(tip), 0}}, 0, nil, false
local most, from = tonumber(ARGV[7]), ARGV[5]
local full = most == 0
local function give(turn)
  local mark = redis.call('HGET', KEYS[1], 'd' .. turn) or ''
  if turn == from and ARGV[6] == '0' or turn ~= from and mark == '*' then return end
  local its = redis.call('HGET', KEYS[1], turn)
  local before = redis.call('ZSCORE', KEYS[2], turn)
  if not its or not before then lost = true return end
  bytes = bytes + #its
  if bytes > tonumber(ARGV[8]) then
    if #given == 6 then large = #its end
    given[6], full = 1, true
    return
  end
  local n = #given
  given[n + 1], given[n + 2], given[n + 3], given[n + 4], given[n + 5] = turn, its, mark, before, header(before)
  if (n - 1) / 5 >= most then given[6], full = 1, true end
end
local turn, is_begun, path, steps = tip, from == '', {{}}, redis.call('ZCARD', KEYS[2])
while turn and turn ~= '0' and not full and not lost do
  steps = steps - 1
  if steps < 1 then return {{'incomplete'}} end  -- a damaged tree must not hold up everybody
  local is_from = turn == from
  is_begun = is_begun or is_from
  if ARGV[4] == 'asc' then path[#path + 1] = turn elseif is_begun then give(turn) end
  if is_from and ARGV[4] == 'asc' then break end
  turn = redis.call('ZSCORE', KEYS[2], turn)
end
if most > 0 and not is_begun then return {{'absent'}} end
for i = #path, 1, -1 do
  if full or lost then break end
  give(path[i])
end
if lost or not turn then return {{'incomplete'}} end
renew(object, seconds)
return large and {{'large', large}} or given
""")

# Goes on in a conversation object, or makes one. ARGV: its last turn as it was read (0: none; 'new': it is made), its
# text as it was read ('': whatever it is), owner, seconds to live, the conversation's longest life (0: none), tags with
# spaces between them, the turn that holds it ('': none), the turn whose response is to live ('': none), then pairs of a
# field and its text: turns, each after the one before, and any other. Gives a word; 'stored'; 'moved' where it is not
# as it was read (any more); 'ended' at the end of the longest life.
ADD = Script(f"""
{LIBRARY}
local result, started = find(object, ARGV[3])
local before = redis.call('ZSCORE', KEYS[2], object) or '0'
if ARGV[1] == 'new' and result == 'unknown' then
  started = now
elseif result ~= 'found' then
  return result
end
local seconds, first, last = life(ARGV[4], ARGV[5], started), nil, nil
if seconds < 1 then return 'ended' end
for i = 9, #ARGV, 2 do
  if ARGV[i]:match('^%d+$') and ARGV[i] ~= object then first, last = first or ARGV[i], ARGV[i] end
end
local parent = last and redis.call('ZSCORE', KEYS[2], last)
-- until 1.86: a stream with rounds of tools says after the first that it has ended, too.
local has_grown = parent and before == last and not redis.call('ZSCORE', KEYS[2], first)
local status = last and status_of(last)
if status and not running[status] then return 'ended' end
-- By the run before, whatever came behind it since: a turn must not come behind itself.
if result == 'found' and (ARGV[1] == 'new' or parent and not has_grown) then return 'stored' end
if has_grown then before = parent end
local holder, ends = (redis.call('HGET', KEYS[1], 'held') or ''):match('^(%d+) (%d+)$')
if last and holder and holder ~= ARGV[7] and tonumber(ends) >= now then return 'locked' end
if last and ARGV[1] ~= 'new' and ARGV[1] ~= before then return 'moved' end
if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], object) ~= ARGV[2] then return 'moved' end
note(ARGV[3], started, ARGV[6])
for i = 9, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  if ARGV[i]:match('^%d+$') and ARGV[i] ~= object then
    redis.call('ZADD', KEYS[2], before, ARGV[i])
    before = ARGV[i]
  end
end
if status then end_job(last) end
redis.call('ZADD', KEYS[2], before, object)
if holder == ARGV[7] then redis.call('HDEL', KEYS[1], 'held') end
renew(object, seconds)
if ARGV[8] ~= '' then renew(ARGV[8], seconds) end
return 'stored'
""")
