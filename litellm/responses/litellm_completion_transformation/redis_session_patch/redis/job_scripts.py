"""Scripts of background responses. KEYS[1] to KEYS[3] are those of the conversation (``scripts``).

A response in the background is two fields of ``turns``. ``j<turn>``: its status, and until when the lease of its worker
lasts; ``k<turn>``: what its client gets and what was said, sealed. Its life is the member ``j<turn>`` of ``lives``.
Statuses: ``queued``, ``in_progress``; ``failed``, ``cancelled``, ``completed`` or ``incomplete`` (such as a guardrail's
own answer, which is no turn); ``lost``: the lease ended before the response. Of these last ones none changes any more.
When it is stored as a turn, APPEND takes the fields out.

KEYS[4], ``events``, a list: an event's number, a blank, ``end`` with the last one, a line feed, and the event, sealed.
"""

from .scripts import GRACE_SECONDS, LIBRARY, Script

_JOB = f"""
{LIBRARY}
local job, record = 'j' .. ARGV[1], 'k' .. ARGV[1]

-- The response's status; a lease that has ended is noted for ever, and told with `true`.
local function look()
  local status, ends = (redis.call('HGET', KEYS[1], job) or ''):match('^(%S+) (%d+)$')
  if running[status] and tonumber(ends) < now then
    redis.pcall('HSET', KEYS[1], job, 'lost 0')
    return 'lost', true
  end
  return status, false
end
"""

# Begins a response, renews its lease, or ends it. ARGV: turn, owner, seconds to live, the conversation's longest life
# (0: none), seconds of the lease, status, tags with spaces between them, what its client gets (empty: as before),
# seconds that events live. Gives the status that it has then; 'found' of one that is a turn; 'deleted' where it must
# not be; 'unknown' where Redis has forgotten what its client gets.
KEEP = Script(f"""
{_JOB}
local about, owner, began = redis.call('HGET', KEYS[1], 'about'), ARGV[2], now
if about then owner, began = about:match('^(%S+) (%d+)$') end
local marks = redis.call('HEXISTS', KEYS[1], 'x') + redis.call('HEXISTS', KEYS[1], 'x' .. ARGV[1])
local seconds = life(ARGV[3], ARGV[4], began)
if marks > 0 or owner ~= ARGV[2] or seconds < 1 then
  redis.call('UNLINK', KEYS[4])
  return 'deleted'
end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 'found' end
local status = status_of(ARGV[1])
if status and not running[status] then return status end
if ARGV[8] == '' and redis.call('HEXISTS', KEYS[1], record) == 0 then return 'unknown' end
note(owner, began, ARGV[7])
if ARGV[8] ~= '' then redis.call('HSET', KEYS[1], record, ARGV[8]) end
redis.call('HSET', KEYS[1], job, ARGV[6] .. ' ' .. (now + ARGV[5]))
redis.call('ZADD', KEYS[3], now + ARGV[5] + seconds, job)
keep_keys(ARGV[5] + seconds + {GRACE_SECONDS})
redis.call('EXPIRE', KEYS[4], ARGV[9])
return ARGV[6]
""")

# Adds events, those that are there already left out, so that their numbers have no gap: those before one go. ARGV:
# turn, seconds that events live, the number of the first event that is kept, then events. Gives the response's status,
# 'deleted' or 'unknown'.
LOG = Script(f"""
{_JOB}
if redis.call('HEXISTS', KEYS[1], 'x') + redis.call('HEXISTS', KEYS[1], 'x' .. ARGV[1]) > 0 then
  redis.call('UNLINK', KEYS[4])
  return 'deleted'
end
local last = tonumber((redis.call('LINDEX', KEYS[4], -1) or '-1 '):match('^%-?%d+'))
for i = 4, #ARGV do
  local number = tonumber(ARGV[i]:match('^%d+'))
  if number > last + 1 then redis.call('UNLINK', KEYS[4]) end
  if number > last then
    redis.call('RPUSH', KEYS[4], ARGV[i])
    last = number
  end
end
local first = tonumber((redis.call('LINDEX', KEYS[4], 0) or '0 '):match('^%d+'))
if first < tonumber(ARGV[3]) then redis.call('LTRIM', KEYS[4], ARGV[3] - first, -1) end
redis.call('EXPIRE', KEYS[4], ARGV[2])
return status_of(ARGV[1]) or 'unknown'
""")

# Looks at a response, or cancels it. ARGV: turn, owner, seconds to live, the conversation's longest life (0: none),
# 'cancelled' or nothing. Gives a word as READ does; after 'unfinished' the status, 1 where it is found to be lost only
# now, and what its client gets.
JOB = Script(f"""
{_JOB}
local result, began = find(ARGV[1], ARGV[2])
if result ~= 'unfinished' then return {{result}} end
local status, is_new = look()
local shown = redis.call('HGET', KEYS[1], record)
if not status or not shown then return {{'unknown'}} end
if ARGV[5] ~= '' and running[status] then
  status = ARGV[5]
  redis.call('HSET', KEYS[1], job, status .. ' 0')
  redis.call('ZADD', KEYS[3], now + math.max(1, life(ARGV[3], ARGV[4], began)), job)
end
return {{result, status, is_new and 1 or 0, shown}}
""")

# Events of a response. ARGV: turn, owner, the number after which, how many at most. Gives a word as READ does; then the
# status, 1 where it is found to be lost only now, heads of the first and of the last event there is (empty: there is
# none), and events; none where the one after that number is not there any more.
EVENTS = Script(f"""
{_JOB}
local result = find(ARGV[1], ARGV[2])
if result ~= 'found' and result ~= 'unfinished' then return {{result}} end
local status, is_new = 'found', false
if result == 'unfinished' then status, is_new = look() end
local first, last = redis.call('LINDEX', KEYS[4], 0), redis.call('LINDEX', KEYS[4], -1)
local head = {{result, status or 'unknown', is_new and 1 or 0, '', ''}}
if not first then return head end
head[4], head[5] = first:match('^[^\\n]*'), last:match('^[^\\n]*')
local start = ARGV[3] + 1 - first:match('^%d+')
if start < 0 then return head end
for _, event in ipairs(redis.call('LRANGE', KEYS[4], start, start + ARGV[4] - 1)) do head[#head + 1] = event end
return head
""")

# Counts a response of an owner's that runs. KEYS: a sorted set, a response scored by when its lease ends. ARGV: the
# response, seconds of the lease, how many there may be (0: it is counted already; -1: it has ended). Gives 1; 0 where
# it would be one too many.
COUNT = Script("""
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. now)
if ARGV[3] == '-1' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  return 1
end
local is_room = ARGV[3] == '0' or redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[3])
if is_room then redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1]) end
redis.call('EXPIRE', KEYS[1], ARGV[2] + 1)
return is_room and 1 or 0
""")

# Whose an answer is that LiteLLM itself is asked for by an id of its own. KEYS: mark. ARGV: owner, seconds.
NOTE_OWNER = Script("""
redis.call('SET', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
""")
OWNER = Script("return redis.call('GET', KEYS[1])")
