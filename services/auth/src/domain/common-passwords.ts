/**
 * The passwords that head every published list of leaks and are long enough to pass the length rule, in lower
 * case. Short on purpose: what a guesser tries within the rate limit of an account.
 */
export const commonPasswords: ReadonlySet<string> = new Set(
  `
  password password1 password12 password123 password1234 password! password1! password01 password2 passw0rd
  p@ssword p@ssw0rd p@ssw0rd1 pa$$word passwort passwort1 motdepasse contraseña kennwort wachtwoord
  12345678 123456789 1234567890 12345678910 0123456789 987654321 9876543210 87654321 123123123 1234554321
  11111111 111111111 1111111111 00000000 000000000 0000000000 22222222 66666666 77777777 88888888 99999999
  12341234 11223344 1122334455 123321123 147258369 741852963 789456123 159357159 456123789 31415926
  qwertyui qwertyuiop qwerty12 qwerty123 qwerty1234 qwerty12345 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx
  1qaz2wsx3edc q1w2e3r4 q1w2e3r4t5 qazwsxedc zaq12wsx zaq1zaq1 asdfghjk asdfghjkl asdf1234 zxcvbnm1 zxcvbnm123
  abcd1234 abc12345 abc123456 abcdefgh abcdefghi a1b2c3d4 aa123456 aaaaaaaa a1234567 a12345678 a123456789
  iloveyou iloveyou1 iloveyou2 sunshine princess football baseball superman starwars trustno1 whatever welcome1
  welcome123 letmein1 letmein123 changeme changeme1 admin123 admin1234 administrator master123 computer internet
  michelle jennifer jonathan liverpool corvette mercedes midnight butterfly chocolate dragon123 monkey123
  pokemon1 minecraft samsung1 charlie1 google123 facebook test1234 testtest default1 secret123 woaini1314
  5201314520 q123456789 qq123456789 zxcvbnm,./ 1234qwer qwer1234 asd123456 88888888a
  `
    .trim()
    .split(/\s+/),
);
