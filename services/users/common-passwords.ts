/**
 * The most common passwords of eight characters and more, in lower case: a small built-in list
 * that stops the first guesses of anybody who tries.
 */
export const COMMON_PASSWORDS: ReadonlySet<string> = new Set(
	`00000000 000000000 0123456789 0987654321 1029384756 11111111 111111111 1111111111 11223344 1122334455
	12121212 123123123 12312312 1231231234 12341234 123454321 1234554321 123456123 123456123456 12345678
	123456789 1234567890 12345678910 123456789a 123456789q 12345678a 123456abc 1234567a 12345qwert 123654789
	123698745 12qwaszx 1357924680 135792468 147258369 147852369 1a2b3c4d 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y
	1qaz2wsx 1qaz2wsx3edc 22222222 55555555 66666666 741852963 77777777 87654321 88888888 888888888
	963852741 987654321 9876543210 99999999 999999999 a1b2c3d4 a1234567 a12345678 aa123456 aa12345678
	abc12345 abcd1234 abcd12345 abcdefgh abcdefghi admin123 admin1234 administrator asdasdasd asdf1234
	asdfasdf asdfghjk asdfghjkl asdfghjkl1 baseball basketball butterfly changeme chocolate computer
	corvette dragon123 elephant facebook football football1 fuckyou1 garfield hello123 iloveyou
	iloveyou1 iloveyou2 internet jennifer letmein1 letmein123 liverpool liverpool1 manchester master123
	michael1 michelle microsoft midnight mustang1 myspace1 password password1 password1! password12
	password123 password1234 passw0rd p@ssw0rd p@ssword pokemon1 princess princess1 q1w2e3r4 q1w2e3r4t5
	q1w2e3r4t5y6 qazwsxedc qazwsx123 qwer1234 qwerasdf qwert123 qwerty12 qwerty123 qwerty1234 qwerty12345
	qwerty123456 qwertyui qwertyuiop qwertyuiop1 samantha sunshine sunshine1 superman superman1 starwars
	starwars1 trustno1 victoria welcome1 welcome123 whatever woaini1314 zaq12wsx zaq1zaq1 zxcvbnm1 zxcvbnm123`.split(
		/\s+/
	)
);
