/*-------------------------------------------------------------------------
 *
 * rewrite_cases.h
 *		The table of streams of rewrite_test.c, in the notation explained there.
 *
 * Members left out of a row are zero: no error, nothing counted.
 *
 *-------------------------------------------------------------------------
 */

/* Binary format: the frame */
{
	.name = "no rows", .format = "binary", .columns = "k",
	.input = "<header><trailer>",
	.output = "<header><trailer>"
},
{
	.name = "rows without columns", .format = "binary", .columns = "",
	.input = "<header><2:0><2:0><2:0><trailer>",
	.output = "<header><2:0><2:0><2:0><trailer>", .rows = 3
},
{
	.name = "columns that are kept", .format = "binary", .columns = "kkk",
	.input = "<header><2:3>[<#old>]<null>[]<2:3>[<old>][x][yz]<trailer>",
	.output = "<header><2:3>[<#old>]<null>[]<2:3>[<old>][x][yz]<trailer>",
	.rows = 2
},
{
	.name = "header extension and flags that are not critical",
	.format = "binary", .columns = "k",
	.input = "PGCOPY\n\377\r\n<1:0><4:0x8001><4:3>abc<2:1>[x]<trailer>",
	.output = "PGCOPY\n\377\r\n<1:0><4:0x8001><4:3>abc<2:1>[x]<trailer>",
	.rows = 1
},
{
	.name = "text where binary is expected", .format = "binary", .columns = "k",
	.input = "a line of text\n", .output = "",
	.status = REWRITE_MALFORMED,
	.message = "stream does not begin with the signature"
},
{
	.name = "damaged signature", .format = "binary", .columns = "k",
	.input = "PGCOPY\n\377\n\n<1:0><4:0><4:0><trailer>", .output = "",
	.status = REWRITE_MALFORMED,
	.message = "stream does not begin with the signature"
},
{
	.name = "header with oids", .format = "binary", .columns = "k",
	.input = "PGCOPY\n\377\r\n<1:0><4:0x10000><4:0><trailer>", .output = "",
	.status = REWRITE_MALFORMED, .message = "header announces row oids"
},
{
	.name = "critical flag 31", .format = "binary", .columns = "k",
	.input = "PGCOPY\n\377\r\n<1:0><4:0x80000000><4:0><trailer>", .output = "",
	.status = REWRITE_MALFORMED,
	.message = "header has unrecognized critical flags 0x80000000"
},
{
	.name = "critical flag 17", .format = "binary", .columns = "k",
	.input = "PGCOPY\n\377\r\n<1:0><4:0x20000><4:0><trailer>", .output = "",
	.status = REWRITE_MALFORMED,
	.message = "header has unrecognized critical flags 0x00020000"
},
{
	.name = "negative header extension", .format = "binary", .columns = "k",
	.input = "PGCOPY\n\377\r\n<1:0><4:0><4:-1><trailer>", .output = "",
	.status = REWRITE_MALFORMED,
	.message = "length of the header extension is -1"
},
{
	.name = "absurd header extension", .format = "binary", .columns = "k",
	.input = "PGCOPY\n\377\r\n<1:0><4:0><4:1048577><trailer>", .output = "",
	.status = REWRITE_MALFORMED,
	.message = "length of the header extension is 1048577"
},
{
	.name = "too few fields", .format = "binary", .columns = "kk",
	.input = "<header><2:2>[a][b]<2:1>[a]<trailer>",
	.output = "<header><2:2>[a][b]", .rows = 1,
	.status = REWRITE_MALFORMED, .row = 2,
	.message = "field count is 1, expected 2"
},
{
	.name = "too many fields", .format = "binary", .columns = "k",
	.input = "<header><2:2>[a][b]<trailer>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1,
	.message = "field count is 2, expected 1"
},
{
	.name = "field count -2", .format = "binary", .columns = "k",
	.input = "<header><2:-2><trailer>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1,
	.message = "field count is -2, expected 1"
},
{
	.name = "field length -2", .format = "binary", .columns = "kk",
	.input = "<header><2:2>[a]<4:-2><trailer>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 2,
	.message = "field length is -2"
},
{
	.name = "field length above 1 GB", .format = "binary", .columns = "kk",
	.input = "<header><2:2><4:0x40000001>a", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "field length is 1073741825"
},
{
	.name = "field length that leaves no room for a header",
	.format = "binary", .columns = "ek",
	.input = "<header><2:2><4:0x3FFFFFFC>a", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "field length is 1073741820"
},
{
	.name = "the longest field, of which little comes",
	.format = "binary", .columns = "ek",
	.input = "<header><2:2><4:0x3FFFFFFB>a", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .message = "stream ends inside a row"
},
{
	.name = "no trailer", .format = "binary", .columns = "k",
	.input = "<header><2:1>[a]", .output = "<header><2:1>[a]", .rows = 1,
	.status = REWRITE_MALFORMED, .row = 2,
	.message = "stream ends without its trailer"
},
{
	.name = "no trailer and no rows", .format = "binary", .columns = "k",
	.input = "<header>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1,
	.message = "stream ends without its trailer"
},
{
	.name = "empty stream", .format = "binary", .columns = "k",
	.input = "", .output = "",
	.status = REWRITE_MALFORMED, .message = "stream ends inside its header"
},
{
	.name = "bytes behind the trailer", .format = "binary", .columns = "k",
	.input = "<header><2:1>[a]<trailer>x",
	.output = "<header><2:1>[a]<trailer>", .rows = 1,
	.status = REWRITE_MALFORMED, .message = "stream goes on behind its trailer"
},
{
	.name = "row behind the trailer", .format = "binary", .columns = "k",
	.input = "<header><trailer><2:1>[a]<trailer>", .output = "<header><trailer>",
	.status = REWRITE_MALFORMED, .message = "stream goes on behind its trailer"
},

/* Binary format: uuid */
{
	.name = "uuid mapped, unknown, null, mapped to itself",
	.format = "binary", .columns = "ku",
	.input = "<header><2:2>[1][<#old>]<2:2>[2][<#stranger>]<2:2>[3]<null><2:2>[4][<#same>]<trailer>",
	.output = "<header><2:2>[1][<#new>]<2:2>[2][<#stranger>]<2:2>[3]<null><2:2>[4][<#same>]<trailer>",
	.rows = 4, .ids_mapped = 2, .ids_kept = 1
},
{
	.name = "several uuid columns in a row", .format = "binary", .columns = "uuku",
	.input = "<header><2:4>[<#old>][<#old>][<#old>][<#other>]<trailer>",
	.output = "<header><2:4>[<#new>][<#new>][<#old>][<#digits>]<trailer>",
	.rows = 1, .ids_mapped = 3
},
{
	.name = "a uuid is replaced once", .format = "binary", .columns = "uuu",
	.input = "<header><2:3>[<#first>][<#second>][<#third>]<trailer>",
	.output = "<header><2:3>[<#second>][<#third>][<#first>]<trailer>",
	.rows = 1, .ids_mapped = 3
},
{
	.name = "uuid without mapping", .format = "binary", .columns = "ku!u!",
	.input = "<header><2:3>[1][<#old>][<#old>]<2:3>[2][<#old>][<#stranger>]<trailer>",
	.output = "<header><2:3>[1][<#new>][<#new>]",
	.rows = 1, .ids_mapped = 3,
	.status = REWRITE_UNMAPPED, .row = 2, .column = 3, .id = "stranger",
	.message = "id deadbeef-dead-beef-dead-beefdeadbeef has no mapping"
},
{
	.name = "two ids without mapping in one row", .format = "binary", .columns = "u!u!",
	.input = "<header><2:2>[<#letters>][<#stranger>]<trailer>", .output = "<header>",
	.status = REWRITE_UNMAPPED, .row = 1, .column = 1, .id = "letters",
	.message = "id abcdefab-cdef-abcd-efab-cdefabcdefab has no mapping"
},
{
	.name = "null where unmapped is an error", .format = "binary", .columns = "u!t!",
	.input = "<header><2:2><null><null><trailer>",
	.output = "<header><2:2><null><null><trailer>", .rows = 1
},
{
	.name = "uuid of 15 bytes", .format = "binary", .columns = "ku",
	.input = "<header><2:2>[1][123456789012345]<trailer>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 2,
	.message = "length of a uuid is 15, expected 16"
},
{
	.name = "uuid as text in binary", .format = "binary", .columns = "u",
	.input = "<header><2:1>[<old>]<trailer>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "length of a uuid is 36, expected 16"
},
{
	.name = "empty uuid", .format = "binary", .columns = "u",
	.input = "<header><2:1>[]<trailer>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "length of a uuid is 0, expected 16"
},
{
	.name = "damage later in the row comes before a missing mapping",
	.format = "binary", .columns = "u!k",
	.input = "<header><2:2>[<#stranger>]<4:-9>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 2,
	.message = "field length is -9"
},

/* Binary format: one uuid as text */
{
	.name = "text ids in lower, upper and mixed case",
	.format = "binary", .columns = "ttt",
	.input = "<header><2:3>[<old>][<OLD>][<Old>]<trailer>",
	.output = "<header><2:3>[<new>][<NEW>][<Old>]<trailer>",
	.rows = 1, .ids_mapped = 2, .ids_kept = 1
},
{
	.name = "text ids of digits alone, and back",
	.format = "binary", .columns = "ttt",
	.input = "<header><2:3>[<digits>][<other>][<OTHER>]<trailer>",
	.output = "<header><2:3>[<letters>][<digits>][<digits>]<trailer>",
	.rows = 1, .ids_mapped = 3
},
{
	.name = "texts that are no ids", .format = "binary", .columns = "t!t!t!t!t!t!",
	.input = "<header><2:6>[]<null>[nobody][<old>x][x<old>][0a1b2c3d-1111-4111-8111-00000000000g]<trailer>",
	.output = "<header><2:6>[]<null>[nobody][<old>x][x<old>][0a1b2c3d-1111-4111-8111-00000000000g]<trailer>",
	.rows = 1
},
{
	.name = "dashes in other places", .format = "binary", .columns = "t!t!t!t!t!",
	.input = "<header><2:5>[0a1b2c3d01111-4111-8111-00000000000a][0a1b2c3d-111104111-8111-00000000000a][0a1b2c3d-1111-411108111-00000000000a][0a1b2c3d-1111-4111-8111000000000000a][0a1b2c3-d1111-4111-8111-00000000000a]<trailer>",
	.output = "<header><2:5>[0a1b2c3d01111-4111-8111-00000000000a][0a1b2c3d-111104111-8111-00000000000a][0a1b2c3d-1111-411108111-00000000000a][0a1b2c3d-1111-4111-8111000000000000a][0a1b2c3-d1111-4111-8111-00000000000a]<trailer>",
	.rows = 1
},
{
	.name = "text ids the map lacks", .format = "binary", .columns = "tt",
	.input = "<header><2:2>[<stranger>][<STRANGER>]<2:2>[<Stranger>][<old>]<trailer>",
	.output = "<header><2:2>[<stranger>][<STRANGER>]<2:2>[<Stranger>][<new>]<trailer>",
	.rows = 2, .ids_mapped = 1, .ids_kept = 3
},
{
	.name = "text id without mapping", .format = "binary", .columns = "kt!",
	.input = "<header><2:2>[1][<STRANGER>]<trailer>", .output = "<header>",
	.status = REWRITE_UNMAPPED, .row = 1, .column = 2, .id = "stranger",
	.message = "id deadbeef-dead-beef-dead-beefdeadbeef has no mapping"
},
{
	.name = "text id in mixed case without mapping",
	.format = "binary", .columns = "t!t!",
	.input = "<header><2:2>[<Old>][<Stranger>]<trailer>", .output = "<header>",
	.ids_kept = 1,
	.status = REWRITE_UNMAPPED, .row = 1, .column = 2, .id = "stranger",
	.message = "id deadbeef-dead-beef-dead-beefdeadbeef has no mapping"
},

/* Binary format: embedded as text */
{
	.name = "json and jsonb", .format = "binary", .columns = "ee",
	.input = "<header><2:2>[{\"<old>\": \"/u/<OTHER>/a.png\"}][<1:1>{\"id\": \"<old>\", \"<stranger>\": 1}]<trailer>",
	.output = "<header><2:2>[{\"<new>\": \"/u/<digits>/a.png\"}][<1:1>{\"id\": \"<new>\", \"<stranger>\": 1}]<trailer>",
	.rows = 1, .ids_mapped = 3
},
{
	.name = "embedded: beginning, end, nothing else, empty, null",
	.format = "binary", .columns = "eeeee",
	.input = "<header><2:5>[<old> ][ <old>][<old>][]<null><trailer>",
	.output = "<header><2:5>[<new> ][ <new>][<new>][]<null><trailer>",
	.rows = 1, .ids_mapped = 3
},
{
	.name = "embedded: adjacent", .format = "binary", .columns = "e",
	.input = "<header><2:1>[<old><old><other><stranger><old>-<same>]<trailer>",
	.output = "<header><2:1>[<new><new><digits><stranger><new>-<same>]<trailer>",
	.rows = 1, .ids_mapped = 5
},
{
	.name = "embedded: within digits and dashes", .format = "binary", .columns = "e",
	.input = "<header><2:1>[abcdef<old>0123--<old>----------<old>0]<trailer>",
	.output = "<header><2:1>[abcdef<new>0123--<new>----------<new>0]<trailer>",
	.rows = 1, .ids_mapped = 3
},
{
	.name = "embedded: every length of what precedes, and fragments",
	.format = "binary", .columns = "e",
	.input = "<header><2:1>[-<old>a-<old>ab-<old>1-2-<old>2024-01-01<old>0a1b2c3d-1111-4111-8111-0000000000,<old>0a1b2c3d-1111-4111-8111-00000000000]<trailer>",
	.output = "<header><2:1>[-<new>a-<new>ab-<new>1-2-<new>2024-01-01<new>0a1b2c3d-1111-4111-8111-0000000000,<new>0a1b2c3d-1111-4111-8111-00000000000]<trailer>",
	.rows = 1, .ids_mapped = 6
},
{
	.name = "embedded: mixed case and unknown ids are no errors",
	.format = "binary", .columns = "e!",
	.input = "<header><2:1>[<Old>,<stranger>,<STRANGER>,<OLD>]<trailer>",
	.output = "<header><2:1>[<Old>,<stranger>,<STRANGER>,<NEW>]<trailer>",
	.rows = 1, .ids_mapped = 1
},
{
	.name = "embedded: overlapping, the first one wins",
	.format = "binary", .columns = "e",
	.input = "<header><2:1>[<old>-1111-4111-8111-00000000000b]<trailer>",
	.output = "<header><2:1>[<new>-1111-4111-8111-00000000000b]<trailer>",
	.rows = 1, .ids_mapped = 1
},
{
	.name = "embedded: overlapping, the first one unknown or in mixed case",
	.format = "binary", .columns = "ee",
	.input = "<header><2:2>[0a1b2c3d-1111-4111-8111-ffff<tail>][<1:48>A1b2c3d-1111-4111-8111-0000<tail>]<trailer>",
	.output = "<header><2:2>[0a1b2c3d-1111-4111-8111-ffff<new>][<1:48>A1b2c3d-1111-4111-8111-0000<new>]<trailer>",
	.rows = 1, .ids_mapped = 2
},
{
	.name = "embedded: an id is replaced once", .format = "binary", .columns = "e",
	.input = "<header><2:1>[<first><second> <third>]<trailer>",
	.output = "<header><2:1>[<second><third> <first>]<trailer>",
	.rows = 1, .ids_mapped = 3
},
{
	.name = "embedded: an id of digits between others", .format = "binary", .columns = "e",
	.input = "<header><2:1>[<digits><OTHER>]<trailer>",
	.output = "<header><2:1>[<letters><digits>]<trailer>",
	.rows = 1, .ids_mapped = 2
},
{
	.name = "text[]", .format = "binary", .columns = "e",
	.input = "<header><2:1>[<4:1><4:1><4:25><4:4><4:1>[<old>]<null>[/<OLD>/][<stranger>]]<trailer>",
	.output = "<header><2:1>[<4:1><4:1><4:25><4:4><4:1>[<new>]<null>[/<NEW>/][<stranger>]]<trailer>",
	.rows = 1, .ids_mapped = 2
},
{
	.name = "text[]: no id across two elements", .format = "binary", .columns = "e",
	.input = "<header><2:1>[<4:1><4:0><4:25><4:2><4:1>[0a1b2c3d-1111-4111-][8111-00000000000a]]<trailer>",
	.output = "<header><2:1>[<4:1><4:0><4:25><4:2><4:1>[0a1b2c3d-1111-4111-][8111-00000000000a]]<trailer>",
	.rows = 1
},
{
	.name = "no id across two fields", .format = "binary", .columns = "ee",
	.input = "<header><2:2>[0a1b2c3d-1111-4111-][8111-00000000000a]<trailer>",
	.output = "<header><2:2>[0a1b2c3d-1111-4111-][8111-00000000000a]<trailer>",
	.rows = 1
},
{
	.name = "embedded: backslashes mean nothing in binary", .format = "binary", .columns = "e",
	.input = "<header><2:1>[\\<btail>\\\\<btail>\\<old>\n\t]<trailer>",
	.output = "<header><2:1>[\\<new>\\\\<new>\\<new>\n\t]<trailer>",
	.rows = 1, .ids_mapped = 3
},
{
	.name = "embedded: NUL and bytes above 127", .format = "binary", .columns = "e",
	.input = "<header><2:1>[<1:0>\xc3\xa4\xff<old><1:0>\xe2\x82\xac]<trailer>",
	.output = "<header><2:1>[<1:0>\xc3\xa4\xff<new><1:0>\xe2\x82\xac]<trailer>",
	.rows = 1, .ids_mapped = 1
},

/* Binary format: uuid[] */
{
	.name = "uuid[] with nulls", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:1><4:1><4:2950><4:5><4:1>[<#old>]<null>[<#stranger>][<#other>][<#same>]]<trailer>",
	.output = "<header><2:1>[<4:1><4:1><4:2950><4:5><4:1>[<#new>]<null>[<#stranger>][<#digits>][<#same>]]<trailer>",
	.rows = 1, .ids_mapped = 3
},
{
	.name = "uuid[] of two dimensions, lower bound -7", .format = "binary", .columns = "a!",
	.input = "<header><2:1>[<4:2><4:0><4:2950><4:2><4:1><4:2><4:-7>[<#first>][<#second>][<#third>][<#stranger>]]<trailer>",
	.output = "<header><2:1>[<4:2><4:0><4:2950><4:2><4:1><4:2><4:-7>[<#second>][<#third>][<#first>][<#stranger>]]<trailer>",
	.rows = 1, .ids_mapped = 3
},
{
	.name = "uuid[] of six dimensions, empty, null", .format = "binary", .columns = "aaa",
	.input = "<header><2:3>[<4:6><4:0><4:2950><4:1><4:1><4:1><4:1><4:1><4:1><4:1><4:1><4:1><4:1><4:1><4:1>[<#old>]][<4:0><4:0><4:2950>]<null><trailer>",
	.output = "<header><2:3>[<4:6><4:0><4:2950><4:1><4:1><4:1><4:1><4:1><4:1><4:1><4:1><4:1><4:1><4:1><4:1>[<#new>]][<4:0><4:0><4:2950>]<null><trailer>",
	.rows = 1, .ids_mapped = 1
},
{
	.name = "uuid[] with a dimension of size 0", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:1><4:0><4:2950><4:0><4:1>]<trailer>",
	.output = "<header><2:1>[<4:1><4:0><4:2950><4:0><4:1>]<trailer>", .rows = 1
},
{
	.name = "uuid[] of 7 dimensions", .format = "binary", .columns = "ka",
	.input = "<header><2:2>[1][<4:7><4:0><4:2950>]<trailer>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 2,
	.message = "array has 7 dimensions"
},
{
	.name = "uuid[] of -1 dimensions", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:-1><4:0><4:2950>]<trailer>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "array has -1 dimensions"
},
{
	.name = "uuid[] with flags 2", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:0><4:2><4:2950>]<trailer>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "array flags are 2, expected 0 or 1"
},
{
	.name = "uuid[] that is text[]", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:1><4:0><4:25><4:1><4:1>[<old>]]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "array element type is 25, expected 2950"
},
{
	.name = "uuid[] shorter than 12 bytes", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:0><4:0><2:0>]<trailer>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "array of 10 bytes is shorter than its header"
},
{
	.name = "uuid[] of no bytes", .format = "binary", .columns = "a",
	.input = "<header><2:1>[]<trailer>", .output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "array of 0 bytes is shorter than its header"
},
{
	.name = "uuid[] that ends in its dimensions", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:2><4:0><4:2950><4:1><4:1><4:1>]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "array of 24 bytes is shorter than its header"
},
{
	.name = "uuid[] of negative size", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:1><4:0><4:2950><4:-3><4:1>]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "size -3 of array dimension 1 does not fit"
},
{
	.name = "uuid[] of negative size behind a size of 0", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:2><4:0><4:2950><4:0><4:1><4:-3><4:1>]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "size -3 of array dimension 2 does not fit"
},
{
	.name = "uuid[] of more elements than it has bytes for",
	.format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:1><4:0><4:2950><4:7><4:1><null>]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "size 7 of array dimension 1 does not fit an array of 24 bytes"
},
{
	.name = "uuid[] whose number of elements overflows", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:4><4:0><4:2950><4:2><4:1><4:0x7FFFFFFF><4:1><4:0x7FFFFFFF><4:1><4:0x7FFFFFFF><4:1>[<#old>]]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "size 2147483647 of array dimension 2 does not fit"
},
{
	.name = "uuid[] with an element of 15 bytes", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:1><4:0><4:2950><4:1><4:1>[123456789012345]]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "length of a uuid in an array is 15, expected 16"
},
{
	.name = "uuid[] with an element of length -2", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:1><4:0><4:2950><4:1><4:1><4:-2>]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "length of a uuid in an array is -2, expected 16"
},
{
	.name = "uuid[] that lacks an element", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:1><4:0><4:2950><4:2><4:1>[<#stranger>]]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "array ends before its last element"
},
{
	.name = "uuid[] that ends within an element", .format = "binary", .columns = "ak",
	.input = "<header><2:2>[<4:1><4:0><4:2950><4:1><4:1><4:16>1234567890][abcdef]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "array ends before its last element"
},
{
	.name = "uuid[] that lacks the last byte of an element", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:1><4:0><4:2950><4:1><4:1><4:16>123456789012345]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "array ends before its last element"
},
{
	.name = "uuid[] that ends within an element's length", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:1><4:1><4:2950><4:2><4:1><null><1:255><2:-1>]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "array ends before its last element"
},
{
	.name = "uuid[] with bytes behind its last element", .format = "binary", .columns = "a",
	.input = "<header><2:1>[<4:1><4:1><4:2950><4:1><4:1><null>x]<trailer>",
	.output = "<header>",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "array has 1 bytes behind its last element"
},

/* Text format: the frame */
{
	.name = "no rows", .format = "text", .columns = "ku",
	.input = "", .output = ""
},
{
	.name = "rows without columns", .format = "text", .columns = "",
	.input = "\n\n\n", .output = "\n\n\n", .rows = 3
},
{
	.name = "one column, empty strings", .format = "text", .columns = "t!",
	.input = "\n\n", .output = "\n\n", .rows = 2
},
{
	.name = "columns that are kept, escapes", .format = "text", .columns = "kkk",
	.input = "<old>\t\\N\t\n\\b\\f\\n\\r\\t\\v\\\\\ta\\\\\t\\\\N\n",
	.output = "<old>\t\\N\t\n\\b\\f\\n\\r\\t\\v\\\\\ta\\\\\t\\\\N\n", .rows = 2
},
{
	.name = "row that is not empty without columns", .format = "text", .columns = "",
	.input = "\nx\n", .output = "\n", .rows = 1,
	.status = REWRITE_MALFORMED, .row = 2,
	.message = "row of a table without columns is not empty"
},
{
	.name = "too few fields", .format = "text", .columns = "kuk",
	.input = "a\t<old>\tc\na\t<old>\n", .output = "a\t<new>\tc\n",
	.rows = 1, .ids_mapped = 1,
	.status = REWRITE_MALFORMED, .row = 2,
	.message = "field count is 2, expected 3"
},
{
	.name = "too many fields", .format = "text", .columns = "kk",
	.input = "a\tb\tc\n", .output = "",
	.status = REWRITE_MALFORMED, .row = 1,
	.message = "row has more fields than the 2 expected"
},
{
	.name = "empty line for two columns", .format = "text", .columns = "kk",
	.input = "\n", .output = "",
	.status = REWRITE_MALFORMED, .row = 1,
	.message = "field count is 1, expected 2"
},
{
	.name = "end-of-data marker", .format = "text", .columns = "k",
	.input = "a\n\\.\n", .output = "a\n", .rows = 1,
	.status = REWRITE_MALFORMED, .row = 2, .column = 1,
	.message = "backslash begins no escape sequence of COPY TO"
},
{
	.name = "end-of-data marker without columns", .format = "text", .columns = "",
	.input = "\n\\.\n", .output = "\n", .rows = 1,
	.status = REWRITE_MALFORMED, .row = 2,
	.message = "row of a table without columns is not empty"
},
{
	.name = "escaped line end", .format = "text", .columns = "kk",
	.input = "a\tb\\\nc\n", .output = "",
	.status = REWRITE_MALFORMED, .row = 1, .column = 2,
	.message = "backslash begins no escape sequence of COPY TO"
},
{
	.name = "escaped tab", .format = "text", .columns = "kk",
	.input = "a\\\tb\n", .output = "",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "backslash begins no escape sequence of COPY TO"
},
{
	.name = "escaped NUL", .format = "text", .columns = "kk",
	.input = "x\ta\\<1:0>\n", .output = "",
	.status = REWRITE_MALFORMED, .row = 1, .column = 2,
	.message = "backslash begins no escape sequence of COPY TO"
},
{
	.name = "null marker within a value", .format = "text", .columns = "k",
	.input = "a\\N\n", .output = "",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "backslash begins no escape sequence of COPY TO"
},
{
	.name = "last line without its end", .format = "text", .columns = "k",
	.input = "a\nb", .output = "a\n", .rows = 1,
	.status = REWRITE_MALFORMED, .row = 2, .message = "stream ends inside a row"
},

/* Text format: uuid */
{
	.name = "uuid mapped, unknown, null, mapped to itself",
	.format = "text", .columns = "ku",
	.input = "1\t<old>\n2\t<stranger>\n3\t\\N\n4\t<same>\n",
	.output = "1\t<new>\n2\t<stranger>\n3\t\\N\n4\t<same>\n",
	.rows = 4, .ids_mapped = 2, .ids_kept = 1
},
{
	.name = "a uuid is replaced once", .format = "text", .columns = "uuu",
	.input = "<first>\t<second>\t<third>\n",
	.output = "<second>\t<third>\t<first>\n", .rows = 1, .ids_mapped = 3
},
{
	.name = "uuid without mapping", .format = "text", .columns = "kuu!",
	.input = "1\t<stranger>\t<old>\n2\t<old>\t<stranger>\n",
	.output = "1\t<stranger>\t<new>\n", .rows = 1, .ids_mapped = 2, .ids_kept = 1,
	.status = REWRITE_UNMAPPED, .row = 2, .column = 3, .id = "stranger",
	.message = "id deadbeef-dead-beef-dead-beefdeadbeef has no mapping"
},
{
	.name = "uuid in upper case", .format = "text", .columns = "u",
	.input = "<OLD>\n", .output = "",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "value is not a uuid in its canonical form of 36 characters"
},
{
	.name = "empty uuid", .format = "text", .columns = "uk",
	.input = "\tx\n", .output = "",
	.status = REWRITE_MALFORMED, .row = 1, .column = 1,
	.message = "value is not a uuid in its canonical form"
},
{
	.name = "uuid that is too long", .format = "text", .columns = "ku",
	.input = "x\t<old>0\n", .output = "",
	.status = REWRITE_MALFORMED, .row = 1, .column = 2,
	.message = "value is not a uuid in its canonical form"
},
{
	.name = "damage later in the row comes before a missing mapping",
	.format = "text", .columns = "u!kk",
	.input = "<stranger>\tx\n", .output = "",
	.status = REWRITE_MALFORMED, .row = 1,
	.message = "field count is 2, expected 3"
},

/* Text format: one uuid as text */
{
	.name = "text ids in all cases, other texts", .format = "text", .columns = "tttttt",
	.input = "<old>\t<OLD>\t<Old>\t<stranger>\t<old> \t\\N\nnobody\t\t\\\\\t<digits>\t<OTHER>\t\\n<old>\n",
	.output = "<new>\t<NEW>\t<Old>\t<stranger>\t<old> \t\\N\nnobody\t\t\\\\\t<letters>\t<digits>\t\\n<old>\n",
	.rows = 2, .ids_mapped = 4, .ids_kept = 2
},
{
	.name = "text id without mapping", .format = "text", .columns = "kt!",
	.input = "1\tnobody\n2\t\\N\n3\t<Old>\n4\t<stranger>\n",
	.output = "1\tnobody\n2\t\\N\n3\t<Old>\n", .rows = 3, .ids_kept = 1,
	.status = REWRITE_UNMAPPED, .row = 4, .column = 2, .id = "stranger",
	.message = "id deadbeef-dead-beef-dead-beefdeadbeef has no mapping"
},

/* Text format: embedded, as text and as uuid[] */
{
	.name = "json", .format = "text", .columns = "kee",
	.input = "1\t{\"<old>\": \"/u/<OTHER>/a.png\"}\t\\N\n<old>\t[\"<Old>\"]\t\n",
	.output = "1\t{\"<new>\": \"/u/<digits>/a.png\"}\t\\N\n<old>\t[\"<Old>\"]\t\n",
	.rows = 2, .ids_mapped = 2
},
{
	.name = "uuid[] and text[]", .format = "text", .columns = "ae",
	.input = "{{<old>,NULL},{<stranger>,<first>}}\t{<old>,\"a \\\\\"<OLD>\",}\n{}\t{}\n",
	.output = "{{<new>,NULL},{<stranger>,<second>}}\t{<new>,\"a \\\\\"<NEW>\",}\n{}\t{}\n",
	.rows = 2, .ids_mapped = 4
},
{
	.name = "embedded: behind escapes", .format = "text", .columns = "eee",
	.input = "\\n<old>\t\\t<old>\\\\\t\\b<btail>\\f<OLD>\n",
	.output = "\\n<new>\t\\t<new>\\\\\t\\b<new>\\f<NEW>\n",
	.rows = 1, .ids_mapped = 4
},
{
	.name = "embedded: the letter of an escape is no digit",
	.format = "text", .columns = "ee",
	.input = "\\<btail>\t\\\\\\<btail>\n", .output = "\\<btail>\t\\\\\\<btail>\n",
	.rows = 1
},
{
	.name = "embedded: a letter behind escaped backslashes is one",
	.format = "text", .columns = "ee",
	.input = "\\\\<btail>\t\\\\\\\\<btail>\n", .output = "\\\\<new>\t\\\\\\\\<new>\n",
	.rows = 1, .ids_mapped = 2
},
{
	.name = "embedded: a backslash before the field means nothing",
	.format = "text", .columns = "ke",
	.input = "\\\\\t<btail>\n", .output = "\\\\\t<new>\n", .rows = 1, .ids_mapped = 1
},
{
	.name = "embedded: no id across fields or rows", .format = "text", .columns = "ee",
	.input = "0a1b2c3d-1111\t-4111-8111-00000000000a\nx\t0a1b2c3d-1111-4111-\n8111-00000000000a\ty\n",
	.output = "0a1b2c3d-1111\t-4111-8111-00000000000a\nx\t0a1b2c3d-1111-4111-\n8111-00000000000a\ty\n",
	.rows = 3
},
{
	.name = "embedded: adjacent, at the end, overlapping", .format = "text", .columns = "e",
	.input = "<old><first>-<OLD>\n<old>-1111-4111-8111-00000000000b\n",
	.output = "<new><second>-<NEW>\n<new>-1111-4111-8111-00000000000b\n",
	.rows = 2, .ids_mapped = 4
},

/* Counting: nothing is replaced */
{
	.name = "uuids that are counted", .format = "binary", .columns = "Uk",
	.input = "<header><2:2>[<#old>][<#old>]<2:2>[<#stranger>][x]<2:2>[<#same>][x]<2:2><null>[x]<2:2>[<#other>][]<trailer>",
	.output = "<header><2:2>[<#old>][<#old>]<2:2>[<#stranger>][x]<2:2>[<#same>][x]<2:2><null>[x]<2:2>[<#other>][]<trailer>",
	.rows = 5, .values_with_ids = {2}
},
{
	.name = "uuids that are counted, in text format", .format = "text", .columns = "UU",
	.input = "<old>\t<stranger>\n\\N\t<old>\n<other>\t\\N\n",
	.output = "<old>\t<stranger>\n\\N\t<old>\n<other>\t\\N\n",
	.rows = 3, .values_with_ids = {2, 1}
},
{
	.name = "texts in every spelling", .format = "binary", .columns = "TTTT",
	.input = "<header><2:4>[by <old>][(<OLD>)][<Old>!][<-old>]<2:4>[<-OLD>][x<-Old>-][<stranger>][<-stranger>]<2:4>[a<-old>][<-old>f][<-old><-old>][<same> <-same>]<trailer>",
	.output = "<header><2:4>[by <old>][(<OLD>)][<Old>!][<-old>]<2:4>[<-OLD>][x<-Old>-][<stranger>][<-stranger>]<2:4>[a<-old>][<-old>f][<-old><-old>][<same> <-same>]<trailer>",
	.rows = 3, .values_with_ids = {2, 2, 1, 1}
},
{
	.name = "an id behind another", .format = "binary", .columns = "T",
	.input = "<header><2:1>[<stranger><stranger><old>]<2:1>[<stranger>,<-stranger>,<-old>]<2:1>[0123456789abcdef0123456789abcdef0 <-old>]<trailer>",
	.output = "<header><2:1>[<stranger><stranger><old>]<2:1>[<stranger>,<-stranger>,<-old>]<2:1>[0123456789abcdef0123456789abcdef0 <-old>]<trailer>",
	.rows = 3, .values_with_ids = {3}
},
{
	.name = "one value counts once", .format = "binary", .columns = "T",
	.input = "<header><2:1>[<old><other><-old>]<trailer>",
	.output = "<header><2:1>[<old><other><-old>]<trailer>",
	.rows = 1, .values_with_ids = {1}
},
{
	.name = "arrays and composites", .format = "binary", .columns = "AAA",
	.input = "<header><2:3>[<4:1><4:0><4:2950><4:2><4:1>[<#stranger>][<#old>]][<4:2><4:2950>[<#old>]<4:23>[<4:7>]][<4:1><4:0><4:25><4:1><4:1>[by <old>]]<2:3>[<4:1><4:0><4:2950><4:1><4:1>[<#stranger>]][<4:2><4:2950><null><4:25>[<-old>]][]<trailer>",
	.output = "<header><2:3>[<4:1><4:0><4:2950><4:2><4:1>[<#stranger>][<#old>]][<4:2><4:2950>[<#old>]<4:23>[<4:7>]][<4:1><4:0><4:25><4:1><4:1>[by <old>]]<2:3>[<4:1><4:0><4:2950><4:1><4:1>[<#stranger>]][<4:2><4:2950><null><4:25>[<-old>]][]<trailer>",
	.rows = 2, .values_with_ids = {1, 2, 1}
},
{
	.name = "a length that looks like a digit", .format = "binary", .columns = "T",
	.input = "<header><2:1>[<4:1><4:0><4:25><4:1><4:1>[<-old>, and more of it]]<trailer>",
	.output = "<header><2:1>[<4:1><4:0><4:25><4:1><4:1>[<-old>, and more of it]]<trailer>",
	.rows = 1, .values_with_ids = {1}
},
{
	.name = "an escape that looks like a digit", .format = "text", .columns = "TT",
	.input = "\\b<-old>\t\\\\b<-old>\n\\f<old>\tx\n",
	.output = "\\b<-old>\t\\\\b<-old>\n\\f<old>\tx\n",
	.rows = 2, .values_with_ids = {2}
},
